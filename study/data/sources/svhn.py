"""SVHN, the cropped street-view house numbers, from its three MATLAB files.

Works on `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat`. Knows the dataset's own validation protocol:
twice as many images of the training set as of the extra set.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from study.config import DataConfig
from study.data.dataset import DatasetFacts, Labels, RawDataset, Split
from study.data.files.download import DownloadError, RemoteFile, fetch_files
from study.data.files.kinds import kind_of
from study.data.files.matlab import DamagedMatlabFile, MatlabArray, matlab_arrays
from study.data.source import MACHINE_BYTES, Source, memory_for_each_byte
from study.data.splits import SplitIndices, stratified_split
from study.errors import UserError

INPUT_SHAPE = (3, 32, 32)
CLASSES = tuple(str(digit) for digit in range(10))
MAX_IMAGES = 1_000_000
"""Twice the largest of the three files; 3 GB."""
_CHUNK = 1024
FILES = {"train": "train_32x32.mat", "extra": "extra_32x32.mat", "test": "test_32x32.mat"}


def read_svhn(data_root: Path, parts: Sequence[str] = tuple(FILES), most_bytes: int = MACHINE_BYTES) -> RawDataset:
    """Read the files in `data_root`. Missing files are downloaded.

    The training images are those of the training set, followed by those of the extra set.

    Args:
        data_root: the folder of the files.
        parts: the keys of `FILES` to read: `train`, `test` and perhaps `extra`.
        most_bytes: the most bytes that the images may have.

    Raises:
        UserError: a file is missing and cannot be downloaded, its content is wrong, or the images are too large for the
            memory.
    """
    _download_missing(data_root, parts)
    labels = {part: _read_labels(data_root / FILES[part]) for part in parts}
    pixels = math.prod(INPUT_SHAPE) * sum(map(len, labels.values()))
    if pixels > most_bytes:
        smaller = "svhn_no_extra, " if "extra" in labels else ""
        raise UserError(
            f"{data_root}: the {sum(map(len, labels.values())):,} images of {', '.join(labels)} are too large for the "
            f"memory of this machine; use {smaller}less preprocessing, or a larger machine"
        )
    of_training = [part for part in parts if part != "test"]
    return RawDataset(
        classes=CLASSES,
        training=_read_split(data_root, labels, of_training),
        test=_read_split(data_root, labels, ["test"]),
        max_value=255.0,
        extra=sum(len(labels[part]) for part in of_training[1:]),
    )


def split_with_extra(
    labels: Labels, extra: int, validation: float, fraction: float, rng: np.random.Generator
) -> SplitIndices:
    """Hold out two thirds of the validation images from the training set, and one third from the extra set.

    The default of 6,000 takes 400 images of each class from the training set and 200 from the extra set (noisy teacher,
    section 4). A share below 1 is taken from each set.

    Args:
        labels: (N,), those of the extra set last.
        extra: how many of them belong to the extra set.
        validation, fraction, rng: as for `stratified_split`.
    """
    from_extra = validation if validation < 1 else int(validation) // 3
    from_train = validation if validation < 1 else int(validation) - from_extra
    border = len(labels) - extra
    if from_extra == 0:
        raise UserError(f"data.validation: {int(validation)} is too few; a third comes from SVHN's extra set")
    train_part = stratified_split(labels[:border], CLASSES, from_train, fraction, rng)
    extra_part = stratified_split(labels[border:], CLASSES, from_extra, fraction, rng)
    return SplitIndices(
        train=np.concatenate([train_part.train, extra_part.train + border]),
        validation=np.concatenate([train_part.validation, extra_part.validation + border]),
    )


def _read_split(data_root: Path, labels: Mapping[str, Labels], parts: Sequence[str]) -> Split:
    """The images of some files in one array, which is the only copy, and their labels."""
    images = np.empty((sum(len(labels[part]) for part in parts), *INPUT_SHAPE), dtype=np.uint8)
    start = 0
    for part in parts:
        end = start + len(labels[part])
        _read_images(data_root / FILES[part], images[start:end])
        start = end
    return Split(images, np.concatenate([labels[part] for part in parts]))


def _read_labels(path: Path) -> Labels:
    """The labels of a file, after a check that it has as many images. The label 10 is the digit 0."""
    shape, values = None, None
    with _naming(path):
        for array in matlab_arrays(path):
            if array.name in ("X", "y"):
                _check_header(path, array)
            if array.name == "X":
                shape = array.shape
            elif array.name == "y":
                values = array.read()
    if shape is None or values is None:
        missing = "X" if shape is None else "y"
        raise UserError(f"{path}: has no variable {missing!r}; SVHN's files have X and y")
    if values.size != shape[3]:
        raise UserError(f"{path}: {values.size} labels for {shape[3]} images")
    if values.dtype.kind not in "iu" or values.min() < 1 or values.max() > 10:
        raise UserError(f"{path}: labels from {values.min()} to {values.max()}; SVHN's labels are 1 to 10")
    return values.reshape(-1).astype(np.int64) % 10


def _read_images(path: Path, images: npt.NDArray[np.uint8]) -> None:
    """Read the images of a file into an array (N, 3, 32, 32). The file has (32, 32, 3, N), the first index fastest."""
    with _naming(path):
        for array in matlab_arrays(path):
            if array.name == "X":
                array.read_bytes(images.reshape(-1).data)
    for start in range(0, len(images), _CHUNK):  # each image is (channels, width, height) in the file
        chunk = images[start : start + _CHUNK]
        chunk[:] = chunk.transpose(0, 1, 3, 2).copy()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """One line that names a file that cannot be read."""
    try:
        yield
    except DamagedMatlabFile as error:
        kind = kind_of(path)
        what = str(error) if kind in (None, "a MATLAB file") else f"it is {kind}"
        raise UserError(f"{path}: not a readable MATLAB file: {what}") from None
    except OSError as error:
        raise UserError(f"{path}: not a readable MATLAB file: {' '.join(str(error).split())}") from None


def _check_header(path: Path, array: MatlabArray) -> None:
    """Check a variable's type and size before its values are read."""
    shape = array.shape
    if array.name == "X":
        fits = len(shape) == 4 and shape[:3] == (32, 32, 3) and 1 <= shape[3] <= MAX_IMAGES and array.kind == "uint8"
        expected = "(32, 32, 3, N) of uint8"
    else:
        fits = 0 <= math.prod(shape) <= MAX_IMAGES and array.kind in ("uint8", "int32", "single", "double")
        expected = "N labels"
    if not fits:
        raise UserError(f"{path}: {array.name} is {shape} of {array.kind}, not {expected}")


def _download_missing(data_root: Path, parts: Sequence[str]) -> None:
    missing = {part: FILES[part] for part in parts if not (data_root / FILES[part]).is_file()}
    if not missing:
        return
    from torchvision.datasets import SVHN  # takes a second to import, and is rarely needed

    files = [RemoteFile(file, (SVHN.split_list[part][0],), SVHN.split_list[part][2]) for part, file in missing.items()]
    try:
        fetch_files(files, data_root, data_root)
    except DownloadError as error:
        raise UserError(
            f"SVHN is not complete in {data_root} and could not be downloaded ({error}); "
            f"put {', '.join(missing.values())} in that folder"
        ) from None


def _split(raw: RawDataset, config: DataConfig, rng: np.random.Generator) -> SplitIndices:
    return split_with_extra(raw.training.labels, raw.extra, config.validation, config.fraction, rng)


SOURCE = Source(
    name="svhn",
    facts=DatasetFacts(INPUT_SHAPE, len(CLASSES)),
    read=lambda config, data_root: read_svhn(data_root, most_bytes=int(MACHINE_BYTES / memory_for_each_byte(config))),
    split=_split,
)
