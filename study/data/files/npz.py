"""The arrays of an `.npz` file, one by one. Nothing in the file is trusted.

Works on the zip archive that NumPy writes. Names, shapes and types are known before values are read. Objects (pickles)
are refused. Knows nothing of images.
"""

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from study.data.files.kinds import kind_of
from study.errors import UserError

CHUNK_BYTES = 2**20

_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, LookupError, RuntimeError, SyntaxError)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: its shape and type, and functions that read its values.

    Attributes:
        read: all values.
        chunks: some rows at a time, in order, so that not all values are in memory.

    Both raise `UserError` if the file is damaged.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], npt.NDArray[Any]]
    chunks: Callable[[], Iterator[npt.NDArray[Any]]]

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a file by name.

    Raises:
        UserError: the file cannot be read, is no `.npz` file, or has an array of objects or of another size than its
            header says.
    """
    try:
        kind = kind_of(path)
        if kind != "a zip archive":
            raise UserError(f"{path}: {kind or 'a file of another kind'}, not an .npz file; write one with numpy.savez")
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            arrays = {member.filename.removesuffix(".npy"): _stored(path, archive, member) for member in members}
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    if not arrays:
        raise UserError(f"{path}: a zip archive without arrays, not an .npz file; write one with numpy.savez")
    return arrays


def _stored(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> StoredArray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"{member.filename} has the version {version}")
        if dtype.hasobject:
            raise UserError(f"{path}: {member.filename.removesuffix('.npy')} has objects, which are not read")
        header, values = file.tell(), math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or header + values != member.file_size:
            raise ValueError(f"{member.filename} is not as long as its header says")

    def read() -> npt.NDArray[Any]:
        try:
            with zipfile.ZipFile(path) as opened, opened.open(member) as values:
                array: npt.NDArray[Any] = np.lib.format.read_array(values, allow_pickle=False)
                if values.read(1):
                    raise ValueError(f"{member.filename} is longer than its header says")
                return array
        except _DAMAGE as error:
            raise _damaged(path, error) from None

    def chunks() -> Iterator[npt.NDArray[Any]]:
        if is_fortran or not shape or not values:
            yield read()
            return
        row = values // shape[0]
        rows = max(1, CHUNK_BYTES // row)
        try:
            with zipfile.ZipFile(path) as opened, opened.open(member) as content:
                content.read(header)
                for start in range(0, shape[0], rows):
                    count = min(rows, shape[0] - start)
                    yield np.frombuffer(content.read(count * row), dtype=dtype).reshape(count, *shape[1:])
                if content.read(1):
                    raise ValueError(f"{member.filename} is longer than its header says")
        except _DAMAGE as error:
            raise _damaged(path, error) from None

    return StoredArray(tuple(shape), dtype, read, chunks)


def _damaged(path: Path, error: BaseException) -> UserError:
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path}: cannot be read as an .npz file: {what}")
