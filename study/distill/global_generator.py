"""PyTorch's global generators, lent to one training at a time.

Works on the states of the generators of the CPU and of one GPU. Dropout layers can draw only from the global
generators. So a training loads its own states before its steps, and keeps them afterwards.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor


class GlobalGenerator:
    """The states of the global generators that belong to one training.

    Args:
        seed: of the first states.
        device: the training's device; the generator of another GPU is not touched.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        with self._forked():
            torch.manual_seed(seed)
            self.state = self._current()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Draw from this training's states inside. Afterwards the global generators have their old states again."""
        with self._forked():
            torch.random.set_rng_state(self.state["cpu"])
            if "cuda" in self.state:
                torch.cuda.set_rng_state(self.state["cuda"], self._device)
            yield
            self.state = self._current()

    def _forked(self) -> AbstractContextManager[None]:
        return torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else [])

    def _current(self) -> dict[str, Tensor]:
        state = {"cpu": torch.random.get_rng_state()}
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        return state
