"""Memory of an array is given back, and nothing beside it changes."""

import sys
from pathlib import Path

import numpy as np
import pytest

from study.adapters import pages

SIZE = 2**24


def _resident() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.skipif(sys.platform != "linux", reason="madvise frees memory at once only there")
def test_the_pages_are_free_while_the_array_exists() -> None:
    array = np.ones(SIZE, dtype=np.uint8)
    before = _resident()
    pages.release(array)
    assert _resident() < before - SIZE // 2
    array[:] = 2
    assert int(array.sum(dtype=np.int64)) == 2 * SIZE


@pytest.mark.parametrize(("start", "end"), [(1, SIZE - 1), (4097, 4098), (100, 9000), (0, 0)])
def test_values_beside_a_part_stay(start: int, end: int) -> None:
    array = np.ones(SIZE, dtype=np.uint8)
    pages.release(array[start:end])
    assert array[:start].all()
    assert array[end:].all()


def test_without_madvise_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "IS_AVAILABLE", False)
    array = np.ones(SIZE, dtype=np.uint8)
    pages.release(array)
    assert array.all()
