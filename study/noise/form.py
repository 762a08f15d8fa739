"""What a form of noise is: which distribution ξ has, what it makes of ξ, and how that meets logits.

Works on tensors. Knows nothing of which samples are perturbed, and of whose logits they are. Imports no PyTorch: study
files are checked without it.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


class Form(ABC):
    """One form of noise.

    Attributes:
        name: its name in a study file.
        unselected: what stands in the rows of samples that are not perturbed, in place of `drawn`.
        vanishes: whether α = 0 or σ = 0 leaves every logit bit-identical. Then such an arm is the method without noise.
        in_logit_units: whether σ is in the unit of the logits; else it is relative to each logit.
    """

    name: ClassVar[str]
    unselected: ClassVar[float]
    vanishes: ClassVar[bool] = True
    in_logit_units: ClassVar[bool] = False

    @staticmethod
    def shaped(normal: "Tensor") -> "Tensor":
        """ξ / σ from draws of N(0, 1), of shape (samples, classes) or (samples, 1); same shape.

        By default ξ is normal. A function of the draws gives another distribution. If its mean is 0 and its variance
        is 1, then σ is the standard deviation of ξ.
        """
        return normal

    @staticmethod
    @abstractmethod
    def drawn(xi: "Tensor") -> "Tensor":
        """What is kept of ξ, of shape (samples, classes) or (samples, 1); same shape."""

    @staticmethod
    @abstractmethod
    def applied(logits: "Tensor", drawn: "Tensor") -> "Tensor":
        """The perturbed logits; both arguments are of shape (samples, classes)."""
