"""`train`: how one network is trained."""

from collections.abc import Iterator
from typing import Literal

from pydantic import (
    Field,
)

from study.values import (
    Model,
)

Idle = Iterator[tuple[tuple[str | int, ...], str]]
"""Settings that have no effect: the position of each in the study file, and why it has no effect.

A study file may not give them, and a printed study file does not have them.
"""


def within(part: str | int, idle: Idle) -> Idle:
    return (((part, *path), why) for path, why in idle)


WITHOUT_SGD = "with the optimizer adam"


Precision = Literal["fp32", "tf32", "bf16"]
"""The number format of products in training. Weights, sums and losses are always float32. Errors are measured in
fp32."""


class TrainConfig(Model):
    """How one network is trained.

    The paper has Adam, mini-batches of 64 and a stop by validation error. The other defaults are ours.
    """

    epochs: int = Field(60, ge=1, le=100_000, description="at most; `patience` may end a training earlier")
    batch_size: int = Field(64, ge=1, le=1_000_000)
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = Field(1e-3, gt=0, le=100, description="learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only (Nesterov)")
    weight_decay: float = Field(0.0, ge=0, le=10)
    schedule: Literal["constant", "cosine"] = "constant"
    patience: int = Field(
        15, ge=0, description="epochs without a better validation error before early stopping; 0: no early stopping"
    )
    precision: Precision = Field(
        "fp32", description="of matrix products in training; tf32 has an effect only on GPUs that support it"
    )
    target_error: float | None = Field(
        None, ge=0, lt=1, description="a validation error: the epochs and seconds until it is reached are tracked"
    )

    def without_effect(self) -> "Idle":
        """Settings that the training of one network does not use."""
        if self.optimizer != "sgd":
            yield ("momentum",), WITHOUT_SGD
