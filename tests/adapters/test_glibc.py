"""Freed memory stays with a process that asks for it."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource
from study.adapters.glibc import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def faults_of_ten_steps():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(40 << 20)))
        ctypes.memset(block, 1, 40 << 20)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
left_alone = faults_of_ten_steps()
print(keep_freed_memory(), left_alone, faults_of_ten_steps())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_block_that_was_freed_is_not_asked_for_again() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    told, left_alone, kept = ran.stdout.split()
    assert told == "True"
    assert int(kept) < int(left_alone) / 5  # once for the first block instead of once a step
