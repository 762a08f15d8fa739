"""SVHN, the cropped street-view house numbers, from its three MATLAB files.

Works on `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat`. Knows the dataset's own validation protocol:
twice as many images of the training set as of the extra set.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from study.config import DataConfig
from study.data.dataset import DatasetFacts, Labels, RawDataset, Split
from study.data.files.download import DownloadError, RemoteFile, fetch_files
from study.data.files.kinds import kind_of
from study.data.files.matlab import DamagedMatlabFile, MatlabArray, matlab_arrays
from study.data.source import Source
from study.data.splits import SplitIndices, stratified_split
from study.errors import UserError

INPUT_SHAPE = (3, 32, 32)
CLASSES = tuple(str(digit) for digit in range(10))
MAX_IMAGES = 1_000_000
"""Twice the largest of the three files; 3 GB."""
FILES = {"train": "train_32x32.mat", "extra": "extra_32x32.mat", "test": "test_32x32.mat"}


def read_svhn(data_root: Path, parts: Sequence[str] = tuple(FILES)) -> RawDataset:
    """Read the files in `data_root`. Missing files are downloaded.

    The training images are those of the training set, followed by those of the extra set.

    Args:
        data_root: the folder of the files.
        parts: the keys of `FILES` to read: `train`, `test` and perhaps `extra`.

    Raises:
        UserError: a file is missing and cannot be downloaded, or its content is wrong.
    """
    _download_missing(data_root, parts)
    training = [_read_mat(data_root / FILES[part]) for part in parts if part != "test"]
    return RawDataset(
        classes=CLASSES,
        training=_joined(training),
        test=_joined([_read_mat(data_root / FILES["test"])]),
        max_value=255.0,
        extra=sum(len(split) for split in training[1:]),
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


def _read_mat(path: Path) -> Split:
    """Images as a (N, 3, 32, 32) view of MATLAB's (32, 32, 3, N), and labels. The label 10 is the digit 0."""
    content: dict[str, npt.NDArray[Any]] = {}
    try:
        for array in matlab_arrays(path):
            if array.name in ("X", "y"):
                _check_header(path, array)
                content[array.name] = array.read()
    except DamagedMatlabFile as error:
        kind = kind_of(path)
        what = str(error) if kind in (None, "a MATLAB file") else f"it is {kind}"
        raise UserError(f"{path}: not a readable MATLAB file: {what}") from None
    except OSError as error:
        raise UserError(f"{path}: not a readable MATLAB file: {' '.join(str(error).split())}") from None
    for name in ("X", "y"):
        if name not in content:
            raise UserError(f"{path}: has no variable {name!r}; SVHN's files have X and y")
    pixels, labels = content["X"], content["y"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3) or not pixels.size:
        raise UserError(f"{path}: X is {pixels.shape} of {pixels.dtype}, not (32, 32, 3, N) of uint8")
    if labels.size != pixels.shape[3]:
        raise UserError(f"{path}: {labels.size} labels for {pixels.shape[3]} images")
    if labels.dtype.kind not in "iu" or labels.min() < 1 or labels.max() > 10:
        raise UserError(f"{path}: labels from {labels.min()} to {labels.max()}; SVHN's labels are 1 to 10")
    return Split(pixels.transpose(3, 2, 0, 1), labels.reshape(-1).astype(np.int64) % 10)


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


def _joined(splits: Iterable[Split]) -> Split:
    splits = list(splits)
    # The array is allocated here, because concatenate would keep MATLAB's order of the axes in memory.
    images: npt.NDArray[np.uint8] = np.empty((sum(map(len, splits)), *INPUT_SHAPE), dtype=np.uint8)
    np.concatenate([split.images for split in splits], out=images)
    return Split(images, np.concatenate([split.labels for split in splits]))


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
    read=lambda config, data_root: read_svhn(data_root),
    split=_split,
)
