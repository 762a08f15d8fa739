"""CIFAR-10 and CIFAR-100 from their official files: the binary version, or the Python version if that is there already.

Works on the extracted folders, or on the archives, which are read without unpacking. Only the binary version is
downloaded, because it needs no pickle: a record consists of the label bytes and 3,072 pixel bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study.adapters import pages
from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.archive import archive_members
from study.data.files.download import DownloadError, RemoteFile, fetch_files
from study.data.files.restricted_pickle import RefusedPickle, load_restricted
from study.data.source import Source
from study.errors import UserError

INPUT_SHAPE = (3, 32, 32)
_CHUNK = 1024
PIXELS = 3 * 32 * 32
MAX_FILE_BYTES = 2**28
"""The largest official file, CIFAR-100's training images, has 2^27.2."""
MAX_TOTAL_BYTES = 2**29
"""An official archive unpacks to 2^27.5."""


@dataclass(frozen=True)
class Layout:
    """Names of the files of one version, in its folder and in its archive."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    names: str

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.names)


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets: how many classes it has, and the files and keys of each version."""

    title: str
    class_count: int
    binary: Layout
    label_bytes: int
    python: Layout
    label_key: str
    names_key: str
    url: str
    md5: str


CIFAR10 = Cifar(
    title="CIFAR-10",
    class_count=10,
    binary=Layout(
        folder="cifar-10-batches-bin",
        archive="cifar-10-binary.tar.gz",
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        names="batches.meta.txt",
    ),
    label_bytes=1,
    python=Layout(
        folder="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        names="batches.meta",
    ),
    label_key="labels",
    names_key="label_names",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
)

CIFAR100 = Cifar(
    title="CIFAR-100",
    class_count=100,
    binary=Layout(
        folder="cifar-100-binary",
        archive="cifar-100-binary.tar.gz",
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
    ),
    label_bytes=2,  # the coarse label, then the fine one
    python=Layout(
        folder="cifar-100-python", archive="cifar-100-python.tar.gz", train=("train",), test="test", names="meta"
    ),
    label_key="fine_labels",
    names_key="fine_label_names",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
)


def read_cifar(cifar: Cifar, data_root: Path) -> RawDataset:
    """Read one version in `data_root`.

    The binary version is preferred to the Python version, and a folder to an archive. If none is there, the binary
    archive is downloaded.

    Raises:
        UserError: no version is there and it cannot be downloaded, or a file is missing, or its content is wrong.
    """
    if _location(cifar.binary, data_root) is None and _location(cifar.python, data_root) is None:
        _download(cifar, data_root)
    location = _location(cifar.binary, data_root)
    if location is not None:
        return _read_binary(cifar, location)
    location = _location(cifar.python, data_root)
    assert location is not None  # found above, or downloaded
    return _read_python(cifar, location)


def _location(layout: Layout, data_root: Path) -> Path | None:
    folder, archive = data_root / layout.folder, data_root / layout.archive
    return folder if folder.is_dir() else archive if archive.is_file() else None


def _read_binary(cifar: Cifar, location: Path) -> RawDataset:
    contents = _read_files(cifar.binary, location)

    def read(name: str) -> Split:
        record = cifar.label_bytes + PIXELS
        content = contents.pop(name)
        if not content or len(content) % record:
            raise UserError(
                f"{location}: {name} has {len(content)} bytes, which is not a multiple of {record}; fetch it again"
            )
        whole = np.frombuffer(content, dtype=np.uint8)
        records = whole.reshape(-1, record)
        labels = records[:, cifar.label_bytes - 1].astype(np.int64)
        images = whole[: len(records) * PIXELS].reshape(-1, PIXELS)
        for start in range(0, len(records), _CHUNK):  # moves pixels to the front, over the labels
            images[start : start + _CHUNK] = records[start : start + _CHUNK, cifar.label_bytes :].copy()
        return Split(images.reshape(-1, *INPUT_SHAPE), labels)

    names = contents[cifar.binary.names].decode("utf-8", errors="replace").split()
    return _assemble(cifar, cifar.binary, location, names, read)


def _read_python(cifar: Cifar, location: Path) -> RawDataset:
    contents = _read_files(cifar.python, location)

    def unpickle(name: str) -> dict[str, Any]:
        try:
            content = load_restricted(bytes(contents.pop(name)))
        except RefusedPickle as error:
            raise UserError(f"{location}: {name} is refused: {error}; fetch the official file") from None
        if not isinstance(content, dict):
            raise UserError(f"{location}: {name} has no dictionary; fetch the official file")
        return {key.decode("latin-1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}

    def read(name: str) -> Split:
        content = unpickle(name)
        images, labels = content.get("data"), content.get(cifar.label_key)
        if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != PIXELS or not len(images):
            raise UserError(f"{location}: {name} has no images of {PIXELS} bytes; fetch the official file")
        if not isinstance(labels, list) or len(labels) != len(images) or not all(type(x) is int for x in labels):
            raise UserError(f"{location}: {name} has no {cifar.label_key} for its {len(images)} images")
        return Split(images.reshape(-1, *INPUT_SHAPE), np.array(labels, dtype=np.int64))

    names = unpickle(cifar.python.names).get(cifar.names_key)
    if not isinstance(names, list):
        raise UserError(f"{location}: {cifar.python.names} has no {cifar.names_key}; fetch the official file")
    decoded = [name.decode("utf-8", errors="replace") if isinstance(name, bytes) else name for name in names]
    if not all(isinstance(name, str) for name in decoded):
        raise UserError(f"{location}: {cifar.python.names} has names that are not text; fetch the official file")
    return _assemble(cifar, cifar.python, location, decoded, read)


def _assemble(
    cifar: Cifar, layout: Layout, location: Path, names: list[str], read: Callable[[str], Split]
) -> RawDataset:
    if len(names) != cifar.class_count:
        raise UserError(f"{location}: {layout.names} has {len(names)} class names, not {cifar.class_count}")
    training, test = _joined([read(name) for name in layout.train]), read(layout.test)
    for labels in (training.labels, test.labels):
        if labels.min() < 0 or labels.max() >= cifar.class_count:
            raise UserError(
                f"{location}: labels from {labels.min()} to {labels.max()}; {cifar.title} has labels from 0 to "
                f"{cifar.class_count - 1}"
            )
    return RawDataset(classes=tuple(names), training=training, test=test, max_value=255.0)


def _joined(splits: list[Split]) -> Split:
    """One split of several. The list is emptied, so that no image is in memory twice for long."""
    if len(splits) == 1:
        return splits[0]
    labels = np.concatenate([split.labels for split in splits])
    images = np.empty((len(labels), *INPUT_SHAPE), dtype=np.uint8)
    end = len(labels)
    while splits:
        part = splits.pop().images
        images[end - len(part) : end] = part
        end -= len(part)
        if part.flags.writeable:
            pages.release(part)  # freed memory of this size may stay with the process
    return Split(images, labels)


def _read_files(layout: Layout, location: Path) -> dict[str, bytearray]:
    """The contents of a layout's files, from its folder or its archive. They may be written to."""
    contents: dict[str, bytearray] = {}
    try:
        if location.is_dir():
            for name in layout.files:
                path = location / name
                if path.is_file():
                    contents[name] = _bounded(location, name, path)
        else:
            for member in archive_members(location, MAX_FILE_BYTES, MAX_TOTAL_BYTES):
                *folder, name = member.parts or ("",)
                if member.kind != "folder" and folder == [layout.folder] and name in layout.files:
                    contents[name] = member.read()
    except OSError as error:
        raise UserError(f"{location}: cannot be read: {' '.join(str(error).split())}; fetch it again") from None
    missing = [name for name in layout.files if name not in contents]
    if missing:
        raise UserError(
            f"{location}: {', '.join(missing)} missing; put it there, or remove the other files to download all again"
        )
    return contents


def _bounded(location: Path, name: str, path: Path) -> bytearray:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise UserError(f"{location}: {name} has {size} bytes, more than any official file; fetch it again")
    content = bytearray(size)
    with path.open("rb") as file:
        filled = file.readinto(content)
    return content[:filled] if filled < size else content


def _download(cifar: Cifar, data_root: Path) -> None:
    file = RemoteFile(cifar.binary.archive, (cifar.url,), cifar.md5)
    try:
        fetch_files([file], data_root, data_root)
    except DownloadError as error:
        raise UserError(
            f"{cifar.title} is not in {data_root} and could not be downloaded ({error}); put {cifar.binary.archive} "
            f"or {cifar.python.archive} in that folder"
        ) from None


CIFAR10_SOURCE = Source(
    name="cifar10",
    facts=DatasetFacts(INPUT_SHAPE, CIFAR10.class_count),
    read=lambda config, data_root: read_cifar(CIFAR10, data_root),
)
CIFAR100_SOURCE = Source(
    name="cifar100",
    facts=DatasetFacts(INPUT_SHAPE, CIFAR100.class_count),
    read=lambda config, data_root: read_cifar(CIFAR100, data_root),
)
