"""Images and labels as arrays of an `.npz` file: with the names of MedMNIST (`train_images`, `train_labels`, `val_…`,
`test_…`) or of Keras (`x_train`, `y_train`, `x_val`, `x_test`, …).

Works on images (N, H, W), (N, H, W, C) or (N, C, H, W) of whole numbers from 0 to 255, with 1 or 3 channels, and one
label for each image: a number or a text. The classes are the training labels, sorted. A file is read some images at a
time, so that the pixels are in memory once. Knows nothing of picture files.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.archive import shown
from study.data.files.decoding import Rendering, resizing_note
from study.data.files.npz import StoredArray, stored_arrays
from study.data.files.pictures import Size, fitted
from study.data.labels import numbered
from study.data.repeats import check_repeats
from study.errors import UserError

Shape = tuple[int, int, int]

PARTS = ("train", "val", "test")
NAMINGS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("X_{}", "y_{}"))
"""The names of images and labels, for each part."""


@dataclass(frozen=True)
class _Part:
    """The images and labels of one part, not read yet: their names and arrays."""

    images_name: str
    labels_name: str
    images: StoredArray
    labels: StoredArray


def read_npz(path: Path, rendering: Rendering) -> RawDataset:
    """Read the arrays of a file. Images for validation, if there are some, are the last training images.

    Args:
        path: the file.
        rendering: the size to which images are resized and cropped, and the most bytes that they may have.

    Raises:
        UserError: one line: an array is missing, has a wrong shape, type or value, or is too large for the memory.
    """
    parts = _parts(path)
    stored = _shape(path, parts)
    shape = (stored[0], *(rendering.size or stored[1:]))
    counts = {name: part.images.shape[0] for name, part in parts.items()}
    total = sum(counts.values())
    if total * math.prod(shape) > rendering.most_bytes:
        raise UserError(f"{path}: its images take more than {rendering.most_bytes / 2**30:.0f} GiB")
    names, labels = numbered(str(path), _labels(path, parts), parts["train"].labels_name)
    held_out = counts.get("val", 0)
    training = np.empty((counts["train"] + held_out, *shape), dtype=np.uint8)
    test = np.empty((counts["test"], *shape), dtype=np.uint8)
    _read(path, parts["train"], rendering.size, training[: counts["train"]])
    if "val" in parts:
        _read(path, parts["val"], rendering.size, training[counts["train"] :])
    _read(path, parts["test"], rendering.size, test)
    image_names = [f"{parts[part].images_name}[{at}]" for part in parts for at in range(counts[part])]
    notes = []
    if held_out:
        notes.append(f"{path}: {parts['val'].images_name} are the validation images; data.validation has no effect")
    if shape != stored:
        is_enlarged = stored[1] < shape[1] or stored[2] < shape[2]
        notes.append(resizing_note(str(path), total, total, total if is_enlarged else 0, (shape[1], shape[2])))
    return RawDataset(
        classes=names,
        training=Split(
            training, np.concatenate([labels[parts[at].labels_name] for at in ("train", "val") if at in parts])
        ),
        test=Split(test, labels[parts["test"].labels_name]),
        max_value=255.0,
        held_out=held_out,
        notes=(*notes, *check_repeats(str(path), chain(training, test), image_names, len(training))),
    )


def describe_npz(path: Path, rendering: Rendering) -> DatasetFacts:
    """The shape and the class count. Of the images only the header is read.

    Raises:
        UserError: as `read_npz`, but for what only the pixels show.
    """
    parts = _parts(path)
    channels, *size = _shape(path, parts)
    height, width = rendering.size or size
    classes, _ = numbered(str(path), _labels(path, parts), parts["train"].labels_name)
    return DatasetFacts((channels, height, width), len(classes))


def _parts(path: Path) -> dict[str, _Part]:
    arrays = stored_arrays(path)
    for images, labels in NAMINGS:
        if images.format("train") in arrays:
            return {
                part: _part(path, arrays, images.format(part), labels.format(part))
                for part in PARTS
                if part != "val" or images.format("val") in arrays
            }
    raise UserError(
        f"{path}: has no train_images and no x_train; it has {', '.join(map(shown, sorted(arrays)[:8]))}; expected "
        "train_images, train_labels, test_images and test_labels, or x_train, y_train, x_test and y_test"
    )


def _part(path: Path, arrays: Mapping[str, StoredArray], images: str, labels: str) -> _Part:
    for name in (images, labels):
        if name not in arrays:
            raise UserError(f"{path}: has no array {name}; it has {', '.join(map(shown, sorted(arrays)[:8]))}")
    found = _Part(images, labels, arrays[images], arrays[labels])
    if len(found.images.shape) not in (3, 4) or not found.images.size or not _axes(found.images.shape):
        raise UserError(
            f"{path}: {images} has the shape {found.images.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W) "
            "with 1 or 3 channels"
        )
    count = found.images.shape[0]
    if found.labels.shape not in ((count,), (count, 1)):
        raise UserError(
            f"{path}: {labels} has the shape {found.labels.shape}; expected one label for each of the {count} images "
            f"of {images}"
        )
    return found


def _axes(shape: tuple[int, ...]) -> str:
    """Where the channels are: `none`, `last` or `first`; empty if there are neither 1 nor 3."""
    if len(shape) == 3:
        return "none"
    return "last" if shape[3] in (1, 3) else "first" if shape[1] in (1, 3) else ""


def _shape(path: Path, parts: Mapping[str, _Part]) -> Shape:
    """(C, H, W), the same for all parts."""
    shapes = {}
    for part in parts.values():
        stored = part.images.shape
        channels_last = stored[1:] if _axes(stored) == "last" else (*stored[2:], stored[1])
        height, width, channels = (*stored[1:], 1) if _axes(stored) == "none" else channels_last
        shapes[part.images_name] = (channels, height, width)
    first, *others = shapes
    for other in others:
        if shapes[other] != shapes[first]:
            raise UserError(
                f"{path}: the images of {first} are {shapes[first]} (channels, height, width), those of {other} "
                f"{shapes[other]}; all need one shape"
            )
    return shapes[first]


def _labels(path: Path, parts: Mapping[str, _Part]) -> dict[str, npt.NDArray[Any]]:
    """The labels of every part, by their name in the file."""
    for part in parts.values():
        if part.labels.dtype.kind not in "iubU":
            raise UserError(f"{path}: {part.labels_name} is of {part.labels.dtype}; expected whole numbers or text")
    return {part.labels_name: part.labels.read().reshape(-1) for part in parts.values()}


def _read(path: Path, part: _Part, size: Size | None, images: npt.NDArray[np.uint8]) -> None:
    """Read the images of a part into an array (N, C, H, W)."""
    axes, start = _axes(part.images.shape), 0
    for stored in part.images.chunks():
        chunk = _bytes(path, part.images_name, stored)
        chunk = chunk[:, np.newaxis] if axes == "none" else chunk.transpose(0, 3, 1, 2) if axes == "last" else chunk
        if size is not None and chunk.shape[2:] != size:
            chunk = np.stack([_fitted(image, size) for image in chunk])
        images[start : start + len(chunk)] = chunk
        start += len(chunk)


def _fitted(image: npt.NDArray[np.uint8], size: Size) -> npt.NDArray[np.uint8]:
    """An image (C, H, W), resized and cropped as a picture file would be."""
    is_grey = len(image) == 1
    picture = Image.fromarray(image[0] if is_grey else np.ascontiguousarray(image.transpose(1, 2, 0)))
    pixels = np.asarray(fitted(picture, size))
    return pixels[np.newaxis] if is_grey else pixels.transpose(2, 0, 1)


def _bytes(path: Path, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Whole numbers from 0 to 255 as bytes."""
    if values.dtype == np.uint8:
        return values
    numbers = values.dtype.kind in "iufb" and bool(np.isfinite(values).all())
    if not numbers or values.min() < 0 or values.max() > 255 or not (values == values.astype(np.uint8)).all():
        raise UserError(
            f"{path}: {name} is of {values.dtype} and has values that are not whole numbers from 0 to 255; save the "
            "images as uint8"
        )
    return values.astype(np.uint8)
