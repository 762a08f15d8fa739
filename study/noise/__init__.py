"""Noise on logits. A form of noise is one file with a subclass of `Form`, and a line in `FORMS`.

The study file names forms in `noise: {form: NAME}` (`study.noise.settings`). The first form is the default. A form of
one study is such a class in a file of the user.
"""

from models.own_code import is_own
from study.noise.additive import Additive
from study.noise.form import Form
from study.noise.multiplicative import Multiplicative
from study.noise.own import own_form
from study.noise.scaled import Scaled

FORMS: tuple[type[Form], ...] = (Multiplicative, Additive, Scaled)


def form_named(name: str) -> type[Form]:
    """The form of this name, or of the user's own code.

    Raises:
        ValueError: there is none.
    """
    if is_own(name):
        return own_form(name)
    for form in FORMS:
        if form.name == name:
            return form
    raise ValueError(f"form {name}: expected one of {', '.join(form.name for form in FORMS)}")
