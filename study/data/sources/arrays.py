"""Images and labels as arrays of an `.npz` file: with the names of MedMNIST (`train_images`, `train_labels`, `val_…`,
`test_…`) or of Keras (`x_train`, `y_train`, `x_val`, `x_test`, …).

Works on images (N, H, W), (N, H, W, C) or (N, C, H, W) of whole numbers from 0 to 255, with 1 or 3 channels, and one
label for each image: a number or a text. The classes are the training labels, sorted. Knows nothing of picture files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from study.data.dataset import DatasetFacts, Labels, RawDataset, Split
from study.data.files.archive import shown
from study.data.files.npz import StoredArray, stored_arrays
from study.data.repeats import check_repeats
from study.data.source import Source, memory_for_each_byte, path_of
from study.data.sources.image_folder import MAX_TOTAL_BYTES
from study.errors import UserError

Shape = tuple[int, int, int]

PARTS = ("train", "val", "test")
NAMINGS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("X_{}", "y_{}"))
"""The names of images and labels, for each part."""
_CHUNK = 1024


@dataclass(frozen=True)
class _Part:
    """The images and labels of one part, not read yet: their names and arrays."""

    images_name: str
    labels_name: str
    images: StoredArray
    labels: StoredArray


def read_arrays(path: Path, most_bytes: int = MAX_TOTAL_BYTES) -> RawDataset:
    """Read the arrays of a file. Images for validation, if there are some, are the last training images.

    Raises:
        UserError: one line: an array is missing, has a wrong shape, type or value, or is too large for the memory.
    """
    parts = _parts(path)
    shape = _shape(path, parts)
    if sum(part.images.size for part in parts.values()) > most_bytes:
        raise UserError(f"{path}: its images take more than {most_bytes / 2**30:.0f} GiB")
    names, labels = _labels(path, parts)
    pixels = _pixels(path, parts["train"], shape)
    held_out = 0
    if "val" in parts:
        own, held_out = pixels.size, len(labels["val"])
        validation = _pixels(path, parts["val"], shape)
        pixels.resize(own + validation.size, refcheck=False)  # grows where it is; nothing else uses the array
        pixels[own:] = validation
        del validation
    training = pixels.reshape(-1, *shape)
    test = _pixels(path, parts["test"], shape).reshape(-1, *shape)
    all_labels = np.concatenate([labels[part] for part in PARTS if part in parts and part != "test"])
    image_names = [f"{parts[part].images_name}[{at}]" for part in parts for at in range(len(labels[part]))]
    return RawDataset(
        classes=names,
        training=Split(training, all_labels),
        test=Split(test, labels["test"]),
        max_value=255.0,
        held_out=held_out,
        notes=(
            *(
                [f"{path}: {parts['val'].images_name} are the validation images; data.validation has no effect"]
                if held_out
                else []
            ),
            *check_repeats(str(path), chain(training, test), image_names, len(training)),
        ),
    )


def describe_arrays(path: Path) -> DatasetFacts:
    """The shape and the class count. Of the images only the header is read.

    Raises:
        UserError: as `read_arrays`, but for what only the pixels show.
    """
    parts = _parts(path)
    return DatasetFacts(_shape(path, parts), len(_labels(path, parts)[0]))


def _parts(path: Path) -> dict[str, _Part]:
    if not path.exists():
        raise UserError(f"data.path: {path} does not exist; give an .npz file")
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


def _labels(path: Path, parts: Mapping[str, _Part]) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """The class names, and the labels of every part."""
    values = {}
    for name, part in parts.items():
        if part.labels.dtype.kind not in "iubU":
            raise UserError(f"{path}: {part.labels_name} is of {part.labels.dtype}; expected whole numbers or text")
        values[name] = part.labels.read().reshape(-1)
    known = np.unique(values["train"])
    if len(known) < 2:
        raise UserError(f"{path}: only one class in {parts['train'].labels_name}; a study needs at least two")
    labels = {}
    for name, part in parts.items():
        unknown = np.setdiff1d(values[name], known)
        if len(unknown):
            raise UserError(
                f"{path}: {part.labels_name} has the class {shown(str(unknown[0]))}, which no training image has"
            )
        labels[name] = np.searchsorted(known, values[name]).astype(np.int64)
    return tuple(str(value) for value in known), labels


def _pixels(path: Path, part: _Part, shape: Shape) -> npt.NDArray[np.uint8]:
    """All bytes of (N, C, H, W) as a flat array that owns its memory. They are put in order where they are."""
    stored = part.images.read()
    count, axes = len(stored), _axes(stored.shape)
    if stored.dtype == np.uint8 and stored.flags.c_contiguous:
        owner = stored if stored.flags.owndata else stored.base
        assert isinstance(owner, np.ndarray)  # NumPy reads a flat array, and may return a view of it
        pixels = owner
        pixels.resize(stored.size, refcheck=False)  # a flat array, of the same size
    else:
        pixels = np.empty(stored.size, dtype=np.uint8)
        for start in range(0, count, _CHUNK):
            chunk = _bytes(path, part.images_name, stored[start : start + _CHUNK])
            pixels.reshape(count, -1)[start : start + _CHUNK] = chunk.reshape(len(chunk), -1)
    if axes == "last" and shape[0] > 1:
        rows = pixels.reshape(count, -1)
        channels, height, width = shape
        for start in range(0, count, _CHUNK):
            chunk = rows[start : start + _CHUNK].reshape(-1, height, width, channels)
            rows[start : start + _CHUNK] = np.ascontiguousarray(chunk.transpose(0, 3, 1, 2)).reshape(len(chunk), -1)
    return pixels


def _bytes(path: Path, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Whole numbers from 0 to 255 as bytes."""
    numbers = values.dtype.kind in "iufb" and bool(np.isfinite(values).all())
    if not numbers or values.min() < 0 or values.max() > 255 or not (values == values.astype(np.uint8)).all():
        raise UserError(
            f"{path}: {name} is of {values.dtype} and has values that are no whole numbers from 0 to 255; save the "
            "images as uint8"
        )
    return values.astype(np.uint8)


SOURCE = Source(
    name="arrays",
    facts=lambda config, data_root: describe_arrays(path_of(config, data_root)),
    read=lambda config, data_root: read_arrays(
        path_of(config, data_root), int(MAX_TOTAL_BYTES / memory_for_each_byte(config))
    ),
)
