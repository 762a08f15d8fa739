"""How many threads a training is worth.

Works on numbers and on PyTorch's setting. Knows nothing of networks or of the machine. Threads that share a step wait
for one another at the end of every operator. Where an operator is small, the waiting takes longer than the work; and
where other programs use the processors as well, each wait lasts until the slowest thread got its turn
(docs/performance.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MULTIPLICATIONS_PER_THREAD = 50_000_000
"""Of a mini-batch's forward pass: the least that is worth a thread, two to four milliseconds of a training step."""


def worthwhile_threads(multiplications: int, batch_size: int) -> int:
    """The most threads that a training is worth, at least 1.

    Args:
        multiplications: of the network's forward pass of one image (`models.cost`).
        batch_size: images of one mini-batch.
    """
    return max(1, multiplications * batch_size // MULTIPLICATIONS_PER_THREAD)


MOST_TEACHER_THREADS = 4
"""A teacher gets no more, however many CPUs a node has, and no fewer where a node has fewer."""


def teacher_threads(multiplications: int, batch_size: int) -> int:
    """The threads that train a teacher and make its logits.

    Another number of threads adds sums up in another order, so a teacher's last bits depend on it. All studies share a
    teacher, and its key says nothing of the machine. So the number depends on the network and the batch alone.

    Args:
        multiplications, batch_size: as `worthwhile_threads`.
    """
    return min(worthwhile_threads(multiplications, batch_size), MOST_TEACHER_THREADS)


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Have PyTorch use so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
