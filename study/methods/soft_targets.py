"""Soft targets: distributions at a temperature, and the labels beside them (Hinton, Vinyals & Dean 2015)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from study.methods.base import Batch, PerturbedMethod
from study.values import Share, Temperature

if TYPE_CHECKING:
    from torch import Tensor


def soft_target_loss(
    logits: "Tensor", target: "Tensor", labels: "Tensor", temperature: float, hard_loss_weight: float
) -> "Tensor":
    """L = (1 − λ)·CE(y, g) + λ·τ²·KL(softmax(z/τ) ‖ softmax(g/τ)) (Hinton, Vinyals & Dean 2015).

    A mean over the mini-batch and a sum over the classes: it does not divide by the number of classes.

    Args:
        logits: the student's g, (batch, classes).
        target: the teacher's z, (batch, classes). With the logarithm of a distribution p as z, τ = 1 and λ = 1, this is
            KL(p ‖ softmax(g)): a student of an ensemble's mean distribution.
        labels: class indices y, (batch,).
        temperature: τ > 0.
        hard_loss_weight: 1 − λ, in [0, 1].
    """
    import torch.nn.functional as F

    soft = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(target / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = F.cross_entropy(logits, labels)
    return hard_loss_weight * hard + (1 - hard_loss_weight) * temperature**2 * soft


class SoftTargets(PerturbedMethod):
    """The teachers' distribution at a temperature, the labels, or both; with noise on the teachers' logits or not."""

    name: ClassVar[str] = "soft_targets"
    takes_distributions: ClassVar[bool] = True
    always_named: ClassVar[frozenset[str]] = frozenset({"temperature"})
    never_named: ClassVar[frozenset[str]] = frozenset({"hard_loss_weight"})

    temperature: Temperature = Field(4.0, title="τ", description="τ")
    hard_loss_weight: Share = Field(0.0, title="hard loss", description="1 − λ, the labels' weight")

    def loss(self, batch: Batch) -> "Tensor":
        return soft_target_loss(
            batch.logits, batch.noisy_target, batch.labels(), self.temperature, self.hard_loss_weight
        )

    @classmethod
    def without_effect(cls, values: Mapping[str, Sequence[Any] | None], teachers: int) -> Iterator[tuple[str, str]]:
        weights = values["hard_loss_weight"]
        if weights and all(weight == 1 for weight in weights):
            for name in ("combine", *cls.model_fields):
                if name != "hard_loss_weight":
                    yield name, "with hard_loss_weight 1, which learns from the labels alone"
            return
        yield from super().without_effect(values, teachers)
