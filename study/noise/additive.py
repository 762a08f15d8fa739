"""Additive noise: z' = z + ξ (noisy teacher, section 4.1: "added directly to the unnormalized logits")."""

from typing import TYPE_CHECKING, ClassVar

from study.noise.form import Form

if TYPE_CHECKING:
    from torch import Tensor


class Additive(Form):
    """Summands ξ: a summand of exactly 0 leaves a logit bit-identical. σ is in the unit of the logits."""

    name: ClassVar[str] = "additive"
    unselected: ClassVar[float] = 0.0
    in_logit_units: ClassVar[bool] = True

    @staticmethod
    def drawn(xi: "Tensor") -> "Tensor":
        return xi

    @staticmethod
    def applied(logits: "Tensor", drawn: "Tensor") -> "Tensor":
        return logits + drawn
