"""IDX files: a magic number, the sizes as big-endian 32-bit integers, then the bytes.

Works on files from outside, plain or gzipped. The format is described at the end of LeCun's MNIST page. A file that
does not fit its header exactly is refused. Knows no data set.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from study.data.files.kinds import kind_of
from study.errors import UserError

MAX_FILE_BYTES = 2**30
"""Twenty times the largest file of MNIST. A header that names more is refused."""

UNSIGNED_BYTE = 0x08
_BLOCK = 2**20


def read_idx(path: Path, item_shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, (N, *item_shape). A file whose name ends in `.gz` is decompressed.

    Raises:
        UserError: wrong magic number, sizes or length, or the file cannot be read.
    """
    dimensions = 1 + len(item_shape)
    header_size = 4 + 4 * dimensions
    try:
        with _open(path) as file:
            header = file.read(header_size)
            if len(header) < header_size:
                raise UserError(f"{path}: truncated: {len(header)} bytes, less than its header; fetch it again")
            magic, count, *item = struct.unpack(f">{1 + dimensions}I", header)
            expected_magic = UNSIGNED_BYTE << 8 | dimensions
            if magic != expected_magic:
                raise UserError(
                    f"{path}: not an IDX file of {dimensions} dimensions: its magic number is 0x{magic:08x}, "
                    f"not 0x{expected_magic:08x}{_kind(path)}"
                )
            if tuple(item) != item_shape:
                raise UserError(f"{path}: its items are {_shown(item)}, not {_shown(item_shape)}")
            size = count * math.prod(item_shape)
            if count == 0 or size > MAX_FILE_BYTES:
                raise UserError(f"{path}: its header names {count} items; is it damaged?")
            items = np.empty(size, dtype=np.uint8)
            filled = _fill(file, items.data)
            has_more = bool(file.read(1))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if filled < size or has_more:
        fault = "truncated: it ends before" if filled < size else "it has bytes after"
        raise UserError(f"{path}: {fault} the {count} items that its header names; fetch it again")
    return items.reshape(count, *item_shape)


def find_idx(folder: Path, name: str) -> Path | None:
    """The plain or the compressed file; the plain one if both are there, which torchvision leaves with equal content.

    Raises:
        UserError: both are there, and their contents differ.
    """
    plain, zipped = folder / name, folder / f"{name}.gz"
    if plain.is_file() and zipped.is_file() and not _same_content(plain, zipped):
        raise UserError(f"{plain} and {zipped.name} have different contents; remove the wrong one")
    return next((path for path in (plain, zipped) if path.is_file()), None)


def _kind(path: Path) -> str:
    kind = kind_of(path) if path.suffix != ".gz" else None
    return "" if kind is None else f"; it is {kind}"


def _fill(file: BinaryIO, items: memoryview) -> int:
    """Read until `items` is full or the file ends. Returns how many bytes were read."""
    filled = 0
    while filled < len(items) and (block := file.read(min(_BLOCK, len(items) - filled))):
        items[filled : filled + len(block)] = block
        filled += len(block)
    return filled


def _same_content(plain: Path, zipped: Path) -> bool:
    """Whether a file has the content of a compressed one. A damaged compressed file has none, so it is not the same."""
    try:
        with plain.open("rb") as one, gzip.open(zipped, "rb") as other:
            while True:
                first, second = one.read(_BLOCK), other.read(_BLOCK)
                if first != second:
                    return False
                if not first:
                    return True
    except (OSError, EOFError, zlib.error):
        return False


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _shown(shape: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, shape)) or "single bytes"
