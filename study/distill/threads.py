"""How many threads a training is worth.

Works on numbers. Knows nothing of networks or of the machine. Threads that share a step wait for one another at the end
of every operator. Where an operator is small, the waiting takes longer than the work; and where other programs use the
processors as well, each wait lasts until the slowest thread got its turn (docs/performance.md).
"""

MULTIPLICATIONS_PER_THREAD = 50_000_000
"""Of a mini-batch's forward pass: the least that is worth a thread, two to four milliseconds of a training step."""


def worthwhile_threads(multiplications: int, batch_size: int) -> int:
    """The most threads that a training is worth, at least 1.

    Args:
        multiplications: of the network's forward pass of one image (`models.cost`).
        batch_size: images of one mini-batch.
    """
    return max(1, multiplications * batch_size // MULTIPLICATIONS_PER_THREAD)
