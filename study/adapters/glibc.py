"""Freed memory that stays with the process, for the next step of a training.

Works on the C library's `malloc`, of this process and for as long as it runs. Knows nothing of tensors. By default
glibc returns large blocks to the system when they are freed and asks for them again in the next step, and the system
clears every page of them: a quarter of the time of a training on a CPU (docs/performance.md).

Written for the settings of glibc's `malloc.h`, which are the same since glibc 2.10. It replaces nothing. Where the C
library is another one, or refuses a setting, memory is managed as before: the same results, more slowly.
"""

import ctypes

# From malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4

KEPT_BYTES = 1 << 30
"""Above this, free memory at the top of the heap is returned to the system; what a step needs stays below it."""

_GROWTH_BYTES = 1 << 24


def keep_freed_memory() -> bool:
    """Have this process keep what it frees, up to `KEPT_BYTES`.

    Returns:
        whether the C library took all settings (glibc, so Linux as a rule); elsewhere nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, KEPT_BYTES), (_M_TOP_PAD, _GROWTH_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
