"""Noisy teacher: logit regression on perturbed logits of the teacher (noisy teacher, section 3.3)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from study.methods.base import SIGMA_MEANS, Batch, PerturbedMethod
from study.methods.logit_regression import squared_distance
from study.values import Sigma

if TYPE_CHECKING:
    from torch import Tensor


class NoisyTeacher(PerturbedMethod):
    """The noise is on the teachers' combined logits."""

    name: ClassVar[str] = "noisy_teacher"
    without_noise: ClassVar[str | None] = "logit_regression"
    always_named: ClassVar[frozenset[str]] = frozenset({"sigma", "alpha"})

    sigma: Sigma = Field(title="σ", description=SIGMA_MEANS)

    def loss(self, batch: Batch) -> "Tensor":
        return squared_distance(batch.logits, batch.noisy_target)
