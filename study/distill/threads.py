"""How many threads make a training faster.

Works on numbers and on PyTorch's setting. Knows nothing of networks or of the machine. Threads that share a step wait
for one another at the end of every operator. If an operator is small, waiting takes longer than the work. If other
programs use the processors as well, each wait lasts until the slowest thread has run (docs/performance.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MULTIPLICATIONS_PER_THREAD = 50_000_000
"""Each thread needs at least so many multiplications in the forward pass of a mini-batch. That is two to four
milliseconds of a training step."""


def worthwhile_threads(multiplications: int, batch_size: int) -> int:
    """The number of threads with which each thread has enough work, at least 1.

    Args:
        multiplications: of the network's forward pass of one image (`models.cost`).
        batch_size: the number of images in a mini-batch.
    """
    return max(1, multiplications * batch_size // MULTIPLICATIONS_PER_THREAD)


MOST_TEACHER_THREADS = 4
"""A teacher never has more threads. The number does not depend on how many CPUs a node has."""


def teacher_threads(multiplications: int, batch_size: int) -> int:
    """The number of threads that train a teacher and compute its logits.

    With another number of threads, sums are added in another order, so the last bits of a teacher depend on the number.
    All studies share a teacher, and its key does not contain the machine. So the number depends only on the network and
    the mini-batch.

    Args:
        multiplications, batch_size: as `worthwhile_threads`.
    """
    return min(worthwhile_threads(multiplications, batch_size), MOST_TEACHER_THREADS)


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let PyTorch use `count` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
