"""What the steps of one epoch take: images, noise and learning rates. All of it is on the device before the first step.

Works on tensors. Knows nothing of how they are drawn, or of what a step does with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class EpochSteps:
    """The steps of one epoch.

    Attributes:
        sizes: images in each mini-batch, in order. All but the last are equal.
        order: indices of the images, mini-batch after mini-batch, (images,) int64.
        noise: of these images, (images, classes) float32; None for a training without noise.
        rates: the learning rate of each step, (steps,); float32 on a GPU, where a captured step reads it, else float64.
    """

    sizes: tuple[int, ...]
    order: Tensor
    noise: Tensor | None
    rates: Tensor

    @classmethod
    def on(
        cls,
        device: torch.device,
        sizes: Sequence[int],
        order: Tensor,
        noise: Tensor | None,
        rates: Sequence[float],
    ) -> Self:
        """The steps, copied to a device."""
        exact = torch.float64 if device.type == "cpu" else torch.float32
        there = None if noise is None else noise.to(device)
        return cls(tuple(sizes), order.to(device), there, torch.tensor(rates, dtype=exact).to(device))

    @cached_property
    def inputs(self) -> list[tuple[Tensor, Tensor | None, Tensor | float]]:
        """Indices, noise and learning rate of each step. The learning rate is a number on a CPU: it is exact."""
        on_cpu = self.rates.device.type == "cpu"
        rates: Sequence[Tensor | float] = self.rates.tolist() if on_cpu else self.rates.unbind()
        sizes = list(self.sizes)
        noise = [None] * len(sizes) if self.noise is None else torch.split(self.noise, sizes)
        return list(zip(torch.split(self.order, sizes), noise, rates, strict=True))

    @property
    def equal_steps(self) -> int:
        """How many steps have as many images as the first one."""
        return self.sizes.count(self.sizes[0])
