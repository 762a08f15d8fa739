"""What a form of noise is: what it makes of ξ, and how that meets logits.

Works on tensors. Knows nothing of which samples are perturbed, and of whose logits they are.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Form(ABC):
    """One form of noise.

    Attributes:
        name: its name.
        neutral: the value that leaves a logit bit-identical in `applied`.
    """

    name: ClassVar[str]
    neutral: ClassVar[float]

    @staticmethod
    @abstractmethod
    def drawn(xi: Tensor) -> Tensor:
        """What is kept of ξ ~ N(0, σ²), of shape (samples, classes); same shape."""

    @staticmethod
    @abstractmethod
    def applied(logits: Tensor, drawn: Tensor) -> Tensor:
        """The perturbed logits; both arguments are of shape (samples, classes)."""
