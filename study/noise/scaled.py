"""Scaled logits: z' = ξ ⊙ z where a sample is selected, and 0 where it is not.

This is what the last version of the public repository chengshengchan/model_compression computes, z' = m·ξ·z with the
selection m, because its "1 +" is commented out. With α = 0 or σ = 0 every target is 0, which is not the baseline.
"""

from typing import TYPE_CHECKING, ClassVar

from study.noise.form import Form

if TYPE_CHECKING:
    from torch import Tensor


class Scaled(Form):
    """Factors ξ, without the 1. The factor of a sample that is not selected is 0."""

    name: ClassVar[str] = "scaled"
    unselected: ClassVar[float] = 0.0
    vanishes: ClassVar[bool] = False

    @staticmethod
    def drawn(xi: "Tensor") -> "Tensor":
        return xi

    @staticmethod
    def applied(logits: "Tensor", drawn: "Tensor") -> "Tensor":
        return logits * drawn
