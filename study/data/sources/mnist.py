"""MNIST from its four original files, in the layout of `torchvision.datasets.MNIST`.

Works on IDX files (the format is described at the end of LeCun's MNIST page): a magic number, the sizes as big-endian
32-bit integers, then the bytes. A file that does not fit its header exactly is refused.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.download import DownloadError, RemoteFile, fetch_files
from study.data.source import Source
from study.errors import UserError

INPUT_SHAPE = (1, 28, 28)
CLASSES = tuple(str(digit) for digit in range(10))
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MAX_FILE_BYTES = 2**30
"""Twenty times the largest of the four files. A header that names more is refused."""

UNSIGNED_BYTE = 0x08
_BLOCK = 2**20


def read_mnist(data_root: Path) -> RawDataset:
    """Read the four files (`*-ubyte` or `*-ubyte.gz`) in `data_root/MNIST/raw`. Missing files are downloaded.

    Raises:
        UserError: a file is missing and cannot be downloaded, or its content is wrong.
    """
    folder = data_root / "MNIST" / "raw"
    missing = [name for name in FILES if _find(folder, name) is None]
    if missing:
        _download(missing, folder, data_root)
    return RawDataset(
        classes=CLASSES,
        training=_read_split(_required(folder, FILES[0]), _required(folder, FILES[1])),
        test=_read_split(_required(folder, FILES[2]), _required(folder, FILES[3])),
        max_value=255.0,
    )


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
                    f"not 0x{expected_magic:08x}"
                )
            if tuple(item) != item_shape:
                raise UserError(f"{path}: its items are {_shown(item)}, not {_shown(item_shape)}")
            size = count * int(np.prod(item_shape, dtype=np.int64))
            if count == 0 or size > MAX_FILE_BYTES:
                raise UserError(f"{path}: its header names {count} items; is it damaged?")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if len(content) != size:
        fault = "truncated: it ends before" if len(content) < size else "it has bytes after"
        raise UserError(f"{path}: {fault} the {count} items that its header names; fetch it again")
    return np.frombuffer(content, dtype=np.uint8).reshape(count, *item_shape)


def _read_split(images_path: Path, labels_path: Path) -> Split:
    images = read_idx(images_path, INPUT_SHAPE[1:])
    labels = read_idx(labels_path, ())
    if len(images) != len(labels):
        raise UserError(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}")
    if int(labels.max()) >= len(CLASSES):
        raise UserError(f"{labels_path}: has the label {labels.max()}; MNIST's labels are 0 to 9")
    return Split(images[:, np.newaxis], labels.astype(np.int64))


def _find(folder: Path, name: str) -> Path | None:
    """The plain or the compressed file; the plain one if both are there, which torchvision leaves with equal content.

    Raises:
        UserError: both are there, and their contents differ.
    """
    plain, zipped = folder / name, folder / f"{name}.gz"
    if plain.is_file() and zipped.is_file() and not _same_content(plain, zipped):
        raise UserError(f"{plain} and {zipped.name} have different contents; remove the wrong one")
    return next((path for path in (plain, zipped) if path.is_file()), None)


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


def _required(folder: Path, name: str) -> Path:
    return _find(folder, name) or folder / name


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _shown(shape: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, shape)) or "single bytes"


def _download(missing: list[str], folder: Path, data_root: Path) -> None:
    from torchvision.datasets import MNIST  # takes a second to import, and is rarely needed

    files = [
        RemoteFile(name, tuple(mirror + name for mirror in MNIST.mirrors), md5)
        for name, md5 in MNIST.resources
        if name.removesuffix(".gz") in missing
    ]
    try:
        fetch_files(files, folder, data_root)
    except DownloadError as error:
        raise UserError(
            f"MNIST is not complete in {folder} and could not be downloaded ({error}); "
            f"put {', '.join(missing)} (or the same with .gz) in that folder"
        ) from None


SOURCE = Source(
    name="mnist",
    facts=DatasetFacts(INPUT_SHAPE, len(CLASSES)),
    read=lambda config, data_root: read_mnist(data_root),
)
