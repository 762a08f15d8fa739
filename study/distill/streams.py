"""Makes a generator for each source of randomness from one seed.

Common random numbers: two trials of one seed have the same initial weights, batch order and dropout masks. They differ
only in what their arms do with the noise, because a draw of one kind never changes the generator of another kind.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Streams:
    """Independent generators derived from one seed.

    `order` shuffles the training images, `sigma` draws a random σ, `selection` chooses the samples to perturb, and
    `noise` draws ξ. All are generators of the CPU, so that a seed gives the same draws for every device.
    """

    order: torch.Generator
    sigma: torch.Generator
    selection: torch.Generator
    noise: torch.Generator

    @classmethod
    def of(cls, seed: int) -> Self:
        return cls(**{f.name: torch.Generator().manual_seed(derived(seed, f.name)) for f in fields(cls)})

    def state_dict(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name).get_state() for f in fields(self)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for f in fields(self):
            getattr(self, f.name).set_state(state[f.name])


def derived(seed: int, purpose: str) -> int:
    """A seed for one purpose ("initial weights", "noise", ...), independent of the seeds for all others."""
    entropy = np.random.SeedSequence([seed, *purpose.encode()])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))
