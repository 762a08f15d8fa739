"""Multiplicative noise: z' = (1 + ξ) ⊙ z (noisy teacher, section 3.3, equation 2)."""

from typing import TYPE_CHECKING, ClassVar

from study.noise.form import Form

if TYPE_CHECKING:
    from torch import Tensor


class Multiplicative(Form):
    """Factors 1 + ξ: a factor of exactly 1 leaves a logit bit-identical."""

    name: ClassVar[str] = "multiplicative"
    unselected: ClassVar[float] = 1.0

    @staticmethod
    def drawn(xi: "Tensor") -> "Tensor":
        return 1 + xi

    @staticmethod
    def applied(logits: "Tensor", drawn: "Tensor") -> "Tensor":
        return logits * drawn
