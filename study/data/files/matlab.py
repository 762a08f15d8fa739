"""Reads the arrays of numbers in a MATLAB file of level 5 (which MATLAB writes without `-v7.3` or `-v4`), one by one.

Works on files from outside. SciPy's reader crashes on some damaged files, and trusts the sizes in a header. This reader
is small and strict, and reads only the variable that the caller reads. Knows only the names of cells, structures,
objects and text.
"""

import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

_MATRIX, _COMPRESSED = 14, 15
_STORED_AS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "double", 7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32"}
_NAMES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 14: "int64", 15: "uint64", 16: "function"}
_COMPLEX = 0x0800
_CHUNK = 2**20
MAX_DIMENSIONS, MAX_NAME = 32, 64


class DamagedMatlabFile(Exception):
    """Why a file is not read, in one line."""


@dataclass(frozen=True)
class MatlabArray:
    """One variable of a file.

    Attributes:
        name: the variable's name.
        shape: its dimensions.
        kind: the class of its values, as MATLAB calls it.
        read: returns its values. It must be called before the next variable is read. The values have the type in which
            they are stored: MATLAB may store an array of small whole doubles in bytes.
        read_bytes: reads values that are stored in bytes into memory of their size, in the order of the file: the first
            index varies fastest. Called instead of `read`.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable[[], npt.NDArray[Any]]
    read_bytes: Callable[[memoryview], None]


def matlab_arrays(path: Path) -> Iterator[MatlabArray]:
    """The variables of a file, in their order in the file.

    Raises:
        DamagedMatlabFile: the file is not a MATLAB file of level 5, or it is damaged. `read` raises it too.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(128)
        if len(header) < 128 or header[126:] not in (b"IM", b"MI"):
            raise DamagedMatlabFile("it has no header of level 5")
        order = "<" if header[126:] == b"IM" else ">"
        size = os.fstat(file.fileno()).st_size
        while (start := file.tell()) < size:
            kind, length = struct.unpack(f"{order}2I", _exactly(file, 8))
            end = file.tell() + length
            if kind not in (_MATRIX, _COMPRESSED) or end > size:
                raise DamagedMatlabFile(f"no whole variable at byte {start}")
            stream: _Stream = file
            if kind == _COMPRESSED:
                stream = _Inflated(file, length)
                kind, length = struct.unpack(f"{order}2I", _exactly(stream, 8))
                if kind != _MATRIX:
                    raise DamagedMatlabFile(f"no variable at byte {start}")
            yield _array(stream, order)
            file.seek(end)


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Inflated:
    """The content of a compressed variable. Only as much of it is decompressed as is read."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left, self._inflate, self._pending = file, length, zlib.decompressobj(), b""

    def read(self, size: int, /) -> bytes:
        while size and not self._inflate.eof:
            if not self._pending:
                self._pending = self._file.read(min(self._left, _CHUNK))
                self._left -= len(self._pending)
                if not self._pending:
                    break
            try:
                content = self._inflate.decompress(self._pending, size)
            except zlib.error as error:
                raise DamagedMatlabFile(str(error)) from None
            self._pending = self._inflate.unconsumed_tail
            if content:
                return content
        return b""


def _array(stream: _Stream, order: str) -> MatlabArray:
    flags_kind, flags = _small(stream, order, 8)
    shape_kind, dimensions = _small(stream, order, 4 * MAX_DIMENSIONS)
    name_kind, name = _small(stream, order, MAX_NAME)
    if flags_kind != 6 or len(flags) != 8 or shape_kind != 5 or len(dimensions) % 4 or name_kind != 1:
        raise DamagedMatlabFile("a variable without kind, shape or name")
    (word,) = struct.unpack(f"{order}I", flags[:4])
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    kind = {**_CLASSES, **_NAMES}.get(word & 0xFF, "unknown")

    def stored_as() -> tuple[np.dtype[Any], int, bytes]:
        if word & 0xFF not in _CLASSES or word & _COMPLEX or not shape or min(shape) < 0:
            raise DamagedMatlabFile(f"{name.decode('latin-1')!r} is not an array of real numbers")
        stored, length, inside = _tag(stream, order)
        dtype = np.dtype(f"{order}{_STORED_AS[stored]}") if stored in _STORED_AS else None
        if dtype is None or length != math.prod(shape) * dtype.itemsize:
            raise DamagedMatlabFile(f"{name.decode('latin-1')!r} is not stored as an array of its shape")
        return dtype, length, inside

    def fill(view: memoryview, inside: bytes) -> None:
        view[: len(inside)] = inside
        filled = len(inside)
        while filled < len(view):
            piece = stream.read(min(_CHUNK, len(view) - filled))
            if not piece:
                raise DamagedMatlabFile(f"it ends within {name.decode('latin-1')!r}")
            view[filled : filled + len(piece)] = piece
            filled += len(piece)

    def read() -> npt.NDArray[Any]:
        dtype, length, inside = stored_as()
        content = bytearray(length)
        fill(memoryview(content), inside)
        return np.frombuffer(content, dtype=dtype).reshape(shape, order="F")

    def read_bytes(view: memoryview) -> None:
        dtype, length, inside = stored_as()
        if dtype != np.uint8 or length != len(view):
            raise DamagedMatlabFile(f"{name.decode('latin-1')!r} is stored as {dtype}, expected bytes")
        fill(view, inside)

    return MatlabArray(name.decode("latin-1"), shape, kind, read, read_bytes)


def _tag(stream: _Stream, order: str) -> tuple[int, int, bytes]:
    """Kind and length of an element, and its content if the tag itself contains it."""
    tag = _exactly(stream, 8)
    (kind,) = struct.unpack(f"{order}I", tag[:4])
    if kind >> 16:  # a content of up to four bytes is packed into the tag
        length = kind >> 16
        if length > 4:
            raise DamagedMatlabFile("a packed element of more than four bytes")
        return kind & 0xFFFF, length, tag[4 : 4 + length]
    (length,) = struct.unpack(f"{order}I", tag[4:])
    return kind, length, b""


def _small(stream: _Stream, order: str, most: int) -> tuple[int, bytes]:
    """Kind and content of an element of at most `most` bytes."""
    kind, length, inside = _tag(stream, order)
    if inside:
        return kind, inside
    if length > most:
        raise DamagedMatlabFile(f"a header of {length} bytes")
    return kind, _exactly(stream, length + -length % 8)[:length]


def _exactly(stream: _Stream, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = stream.read(count - len(content))
        if not piece:
            raise DamagedMatlabFile("it ends within a variable")
        content += piece
    return content
