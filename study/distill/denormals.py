"""Denormal numbers counted as zero, while networks are trained or evaluated.

Works on the floating-point setting of the calling thread. Knows nothing of networks. Adam's first moment of a weight
whose gradient has become zero shrinks by a tenth every step until it is denormal (below 1.2e-38 in float32), and stays
there. Intel's processors take 26 times as long for a product of such numbers (docs/performance.md).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SMALLEST_NORMAL, _HALF = sys.float_info.min, 0.5


def flushes_denormals() -> bool:
    """Whether the calling thread counts denormal numbers as zero."""
    return _SMALLEST_NORMAL * _HALF == 0.0


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Count denormal numbers as zero inside; also a decorator. Outside, the calling thread is as it was before.

    The setting belongs to a thread, and a thread starts with the setting of the thread that makes it. PyTorch makes the
    threads that share its large operators at the first of them, and keeps them. So this has to be around the first
    large operator of a process; around a later one it changes the calling thread's share of the work alone. Where a
    processor has no such setting, nothing changes.
    """
    if flushes_denormals():
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
