"""Noise on logits. A form of noise is one file with a subclass of `Form`, and a line in `FORMS`.

A study file has no key for the form: the multiplicative form of the paper is the only one.
"""

from study.noise.form import Form
from study.noise.multiplicative import Multiplicative

FORMS: tuple[type[Form], ...] = (Multiplicative,)
