"""A data set in memory: NumPy arrays, and how a stored pixel becomes a network's input.

Works on arrays alone. So a data set is put into a node's shared memory once, and every trial reads it without a copy.
These arrays are read-only in the trials. Knows nothing of files, splits or tensors.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
PixelMean = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W), uint8 or float32, and their labels (N,), int64 in [0, classes)."""

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class RawDataset:
    """What a source reads. No image is held out or preprocessed yet.

    Attributes:
        classes: names, in the order of the labels.
        training: all images that may be trained on or held out for validation.
        test: the official test images.
        max_value: the value of a white pixel.
        extra: how many of the training images are an extra set (SVHN). They are the last ones. The extra set gives
            half as many validation images as the other training images.
        held_out: how many of the training images are the data set's own validation images. They are the last ones.
            None are drawn if there are some.
        notes: what the user must know about the reading, one line each.
    """

    classes: tuple[str, ...]
    training: Split
    test: Split
    max_value: float
    extra: int = 0
    held_out: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits, and the numbers that turn a stored pixel into a network's input: `pixel / max_value - pixel_mean`.

    Attributes:
        name: the dataset's name in the study file.
        classes: names, in the order of the labels.
        train: images to train on, each once; with `mirror`, training index n + i is the mirror image of image i.
        validation: held-out training images.
        test: used once, at the end of a training.
        max_value: what a pixel is divided by (255 for uint8 pictures; 1 where images are already preprocessed).
        pixel_mean: per-pixel mean of the training images after the division, (C, H, W), or None.
        mirror: whether the mirror image of every training image is trained on too.
        digest: SHA-256 in hex over everything above but the name.
        notes: what the user must know about the reading and the split, one line each.
        read_images: how many training images were read, before any was held out or left out.
        train_rows, validation_rows: the place of each image of a split among them, int64.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    max_value: float
    pixel_mean: PixelMean | None
    mirror: bool
    digest: str
    notes: tuple[str, ...] = ()
    read_images: int = 0
    train_rows: Labels = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    validation_rows: Labels = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def class_count(self) -> int:
        return len(self.classes)

    @property
    def train_size(self) -> int:
        """Images in one epoch. With `mirror` it is twice the number of stored training images."""
        return 2 * len(self.train) if self.mirror else len(self.train)


@dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set before it is loaded. None: the value is known only after loading."""

    input_shape: tuple[int, int, int] | None
    class_count: int | None


def content_digest(
    splits: Sequence[Split],
    classes: Sequence[str],
    preprocess: Sequence[str],
    max_value: float,
    pixel_mean: PixelMean | None,
    mirror: bool,
) -> str:
    """SHA-256 in hex that changes with any pixel, label, class name, split or preprocessing."""
    sha = hashlib.sha256(repr((tuple(classes), tuple(preprocess), float(max_value), mirror)).encode())
    arrays = [array for split in splits for array in (split.images, split.labels)]
    for array in [*arrays, *([] if pixel_mean is None else [pixel_mean])]:
        sha.update(f"{array.shape} {array.dtype.str}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()
