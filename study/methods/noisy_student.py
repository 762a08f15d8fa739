"""Noisy student: logit regression with the noise on the logits of the student."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from study.methods.base import SIGMA_MEANS, Batch, PerturbedMethod
from study.methods.logit_regression import squared_distance
from study.values import Sigma

if TYPE_CHECKING:
    from torch import Tensor


class NoisyStudent(PerturbedMethod):
    """The noise is on the student's own logits."""

    name: ClassVar[str] = "noisy_student"
    perturbs_student: ClassVar[bool] = True
    without_noise: ClassVar[str | None] = "logit_regression"
    always_named: ClassVar[frozenset[str]] = frozenset({"sigma", "alpha"})

    sigma: Sigma = Field(title="σ", description=SIGMA_MEANS)

    def loss(self, batch: Batch) -> "Tensor":
        return squared_distance(batch.noisy_logits, batch.clean_target)
