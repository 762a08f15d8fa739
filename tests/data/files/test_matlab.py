"""MATLAB's arrays of numbers: read as SciPy reads them, refused where SciPy crashes."""

import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat
from support.dataset_files import pictures

from study.data.files.matlab import DamagedMatlabFile, MatlabArray, matlab_arrays


def _bytes(compressed: bool = True, **content: object) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content, do_compression=compressed)  # type: ignore[arg-type]  # it takes open files too
    return stream.getvalue()


def _write(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "a.mat").write_bytes(content)
    return tmp_path / "a.mat"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        pictures((3, 4, 2, 5)),
        np.array([[1], [2], [10]], dtype=np.uint8),
        np.array([[1.5, -2, 3]]),
        np.array([[1, 2], [3, 70000]], dtype=np.int32),
        np.array([[0.25]], dtype=np.float32),
        np.zeros((0, 3), dtype=np.uint16),
    ],
)
def test_arrays_are_read_as_scipy_reads_them(tmp_path: Path, array: npt.NDArray[Any], compressed: bool) -> None:
    path = _write(tmp_path, _bytes(compressed, first=np.eye(2), it=array, last="text"))
    found = {each.name: (each, each.read() if each.kind != "char" else None) for each in matlab_arrays(path)}
    assert list(found) == ["first", "it", "last"]
    read = found["it"][1]
    assert read is not None
    assert found["it"][0].shape == array.shape
    assert np.array_equal(read, loadmat(path)["it"])
    assert read.dtype == array.dtype


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path, _bytes(cell=np.array([[1], "a"], dtype=object), text="text", z=np.array([[1j]]), it=np.eye(3))
    )
    seen: dict[str, MatlabArray] = {}
    for array in matlab_arrays(path):
        seen[array.name] = array
        if array.name == "it":
            assert np.array_equal(array.read(), np.eye(3))
        else:
            with pytest.raises(DamagedMatlabFile, match="is not an array of real numbers"):
                array.read()
    assert [array.kind for array in seen.values()] == ["cell", "char", "double", "double"]


_WHOLE = {
    compressed: _bytes(compressed, X=pictures((4, 4, 3, 2)), y=np.array([[1], [2]], dtype=np.uint8))
    for compressed in (False, True)
}


@given(
    compressed=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=5),
    length=st.integers(0, 400) | st.none(),
)
def test_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, compressed: bool, changes: list[tuple[int, int]], length: int | None
) -> None:
    damaged = bytearray(_WHOLE[compressed])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    path = _write(tmp_path_factory.getbasetemp(), bytes(damaged[:length]))
    try:
        for array in matlab_arrays(path):
            array.read()
    except DamagedMatlabFile as error:
        assert "\n" not in str(error)  # noqa: PT017  damaged numbers are read as they are


def test_a_header_with_a_too_large_size_takes_no_memory(tmp_path: Path) -> None:
    huge = (
        struct.pack("<4I", 6, 8, 9, 0) + struct.pack("<2I4i", 5, 16, 32, 32, 3, 10**6) + struct.pack("<2I", 65537, 88)
    )
    huge += struct.pack("<2I", 2, 32 * 32 * 3 * 10**6) + bytes(1000)
    compressed = zlib.compress(struct.pack("<2I", 14, len(huge)) + huge)
    header = bytes(124) + struct.pack("<H", 0x0100) + b"IM"
    path = _write(tmp_path, header + struct.pack("<2I", 15, len(compressed)) + compressed)
    (array,) = itertools.islice(matlab_arrays(path), 1)
    assert (array.name, array.shape, array.kind) == ("X", (32, 32, 3, 10**6), "uint8")
    with pytest.raises(DamagedMatlabFile, match="ends within"):
        next(matlab_arrays(path)).read()
