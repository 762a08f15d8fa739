"""Labels: ordinary training, without teachers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from study.methods.base import Batch, Method

if TYPE_CHECKING:
    from torch import Tensor


class Labels(Method):
    """The cross entropy of the labels."""

    name: ClassVar[str] = "labels"
    has_teachers: ClassVar[bool] = False

    def loss(self, batch: Batch) -> "Tensor":
        import torch.nn.functional as F

        return F.cross_entropy(batch.logits, batch.labels())

    @classmethod
    def without_effect(cls, values: Mapping[str, Sequence[Any] | None], teachers: int) -> Iterator[tuple[str, str]]:
        yield "teachers", "with the method labels, which has no teachers"
