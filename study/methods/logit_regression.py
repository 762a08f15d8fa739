"""Logit regression: the student's logits approach the teacher's (Ba & Caruana 2014). The plain method."""

from typing import TYPE_CHECKING, ClassVar

from study.methods.base import Batch, Method

if TYPE_CHECKING:
    from torch import Tensor


def squared_distance(logits: "Tensor", target: "Tensor") -> "Tensor":
    """L = 1/(2T) Σ_i ‖g(x_i) − z_i‖², T the mini-batch size (Ba & Caruana 2014; noisy teacher, equation 1).

    A mean over the mini-batch and a sum over the classes: it does not divide by the number of classes.
    """
    return (logits - target).square().sum(dim=1).mean() / 2


class LogitRegression(Method):
    """The squared distance of the student's logits from the teachers' combined logits."""

    name: ClassVar[str] = "logit_regression"

    def loss(self, batch: Batch) -> "Tensor":
        return squared_distance(batch.logits, batch.clean_target)
