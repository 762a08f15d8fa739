"""Makes the processor treat denormal numbers as zero, while networks are trained or evaluated.

Works on the floating-point setting of the calling thread. Knows nothing of networks. If the gradient of a weight
becomes zero, Adam's first moment of this weight shrinks by a tenth in every step, until it is denormal (below 1.2e-38
in float32). It stays denormal. Intel's processors take 26 times as long for a product of such numbers
(docs/performance.md).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SMALLEST_NORMAL, _HALF = sys.float_info.min, 0.5


def flushes_denormals() -> bool:
    """Whether the calling thread treats denormal numbers as zero."""
    return _SMALLEST_NORMAL * _HALF == 0.0


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero inside. Also a decorator. Afterwards the calling thread has its old setting again.

    Every thread has its own setting, and starts with the setting of the thread that creates it. PyTorch creates its
    worker threads when the first large operator runs, and keeps them. So the first large operator of a process must run
    inside. Around a later operator, only the calling thread's share of the work has the setting. If a processor has no
    such setting, nothing changes.
    """
    if flushes_denormals():
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
