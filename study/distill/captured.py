"""The training step as a CUDA graph, and the queue of the GPU that runs it.

Works on a function that trains on one mini-batch, and on the steps of an epoch. Knows nothing of networks. A small
network's step is some sixty kernels of a few microseconds each; the host needs longer to launch them one by one than
the GPU to run them. A graph launches all of them at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from study.distill.epoch import EpochSteps

Step = Callable[[Tensor, Tensor | None, Tensor | float], None]
"""Trains on the images at the indices (batch,), with their noise (batch, classes) and a learning rate."""


class DeviceStream:
    """A queue of a GPU, in which one training or several run in turn. On a CPU it does nothing.

    A graph is captured in a queue that is not the default one. The graphs of one queue never run at the same time, so
    they share the memory of their intermediate results.
    """

    def __init__(self, device: torch.device) -> None:
        self.is_real = device.type == "cuda" and torch.cuda.is_available()
        self._device = device
        self._stream: Any = torch.cuda.Stream(device) if self.is_real else None  # type: ignore[no-untyped-call]
        self._pool: Any = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Queue inside what the GPU shall do. It starts after everything that the caller has queued before."""
        if self._stream is None or torch.cuda.current_stream(self._device) == self._stream:
            yield
            return
        around = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(around)
        with torch.cuda.stream(self._stream):
            yield
        around.wait_stream(self._stream)

    @contextmanager
    def used_without_waiting(self) -> Iterator[None]:
        """Queue inside what the GPU shall do, and let no other queue wait for it: queues then run at the same time.

        Enter `used` before, so that this queue waits for what it needs, and again before results are used elsewhere.
        """
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield

    def capture(self, body: Callable[[], None]) -> Any:
        """A CUDA graph of what a function queues.

        Raises:
            RuntimeError: the function waits for the GPU, or does something else that a graph cannot hold.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            body()
        self._pool = self._pool or graph.pool()
        return graph


class StepTables:
    """The inputs of all equal steps of an epoch, and the number of the next step, all on the device.

    Args:
        epoch: the current epoch; those that are loaded later have the same sizes.
        step: the first step to be read.
    """

    def __init__(self, epoch: EpochSteps, step: int = 0) -> None:
        self._next = torch.zeros(1, dtype=torch.int64, device=epoch.order.device)
        self._order, self._noise, self._rates = (None if part is None else part.clone() for part in _equal(epoch))
        self._next.fill_(step)

    def load(self, epoch: EpochSteps) -> None:
        """Take the inputs of another epoch, and begin with its first step."""
        for table, part in zip((self._order, self._noise, self._rates), _equal(epoch), strict=True):
            if table is not None and part is not None:
                table.copy_(part)
        self._next.zero_()

    def read(self) -> tuple[Tensor, Tensor | None, Tensor]:
        """Indices, noise and learning rate of the next step. The host does not know which step that is."""
        assert self._order is not None
        assert self._rates is not None
        indices = self._order.index_select(0, self._next)[0]
        noise = None if self._noise is None else self._noise.index_select(0, self._next)[0]
        rate = self._rates.index_select(0, self._next)[0]
        self._next += 1
        return indices, noise, rate


class CapturedStep:
    """A training step of a fixed number of images as a CUDA graph.

    Args:
        step: trains on one mini-batch.
        epoch: the current epoch.
        at: the number of its next step.
        stream: where it runs.

    Raises:
        RuntimeError: the step cannot be captured.
    """

    def __init__(self, step: Step, epoch: EpochSteps, at: int, stream: DeviceStream) -> None:
        self._tables = StepTables(epoch, at)
        self._graph = stream.capture(lambda: step(*self._tables.read()))

    def begin(self, epoch: EpochSteps) -> None:
        """Take the inputs of the next epoch."""
        self._tables.load(epoch)

    def replay(self) -> None:
        """Queue the next step."""
        self._graph.replay()


def _equal(epoch: EpochSteps) -> tuple[Tensor, Tensor | None, Tensor]:
    """The steps that have as many images as the first one: (steps, batch), (steps, batch, classes) and (steps,)."""
    steps, size = epoch.equal_steps, epoch.sizes[0]
    noise = None if epoch.noise is None else epoch.noise[: steps * size].view(steps, size, -1)
    return epoch.order[: steps * size].view(steps, size), noise, epoch.rates[:steps]
