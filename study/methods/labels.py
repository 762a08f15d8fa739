"""Labels: ordinary training, without teachers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from study.methods.base import Batch, Method
from study.values import Share

if TYPE_CHECKING:
    from torch import Tensor


class Labels(Method):
    """The cross entropy of the labels, of which a share may be random."""

    name: ClassVar[str] = "labels"
    has_teachers: ClassVar[bool] = False
    in_a_trial_without: ClassVar[Mapping[str, Any]] = {"label_noise": 0.0}

    label_noise: Share = Field(
        0.0,
        title="label noise",
        description="share of training images with a random label, drawn once for the whole training",
    )

    def loss(self, batch: Batch) -> "Tensor":
        import torch.nn.functional as F

        return F.cross_entropy(batch.logits, batch.labels())

    @classmethod
    def without_effect(cls, values: Mapping[str, Sequence[Any] | None], teachers: int) -> Iterator[tuple[str, str]]:
        yield "teachers", "with the method labels, which has no teachers"
