"""Memory of an array that is given back to the system while the array still exists.

Works on NumPy arrays that nothing reads any more. Knows nothing of images. A data set that is normalised into another
array needs the first one less and less, and NumPy can free only all of it.

Written for `madvise` of Linux, where `MADV_DONTNEED` frees the pages of private memory at once; they are zero if they
are read again. It replaces nothing. On another system nothing is given back before the array is freed.
"""

import ctypes
import mmap
import sys
from typing import Any

import numpy.typing as npt

IS_AVAILABLE = sys.platform == "linux"


def release(array: npt.NDArray[Any]) -> None:
    """Give back the whole pages of an array. Its values are lost.

    Args:
        array: contiguous, writable, and not memory of a file or of another process.
    """
    if not IS_AVAILABLE or not array.nbytes:
        return
    assert array.flags.c_contiguous
    assert array.flags.writeable
    first = -(-array.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (array.ctypes.data + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > first:
        # A failure changes nothing: the memory is freed with the array.
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_DONTNEED)
