"""From the data section of a study file to a dataset in memory.

Works on a `DataConfig` and a folder. Knows in what order preprocessing happens. Knows no data set by name, and nothing
of tensors.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from study.adapters import pages
from study.config import DataConfig
from study.data import lcn
from study.data.dataset import Dataset, DatasetFacts, Pixels, RawDataset, Split, content_digest
from study.data.files.archive import shown
from study.data.preprocess import in_order, mean_image
from study.data.source import Source
from study.data.sources import SOURCES
from study.data.splits import SplitIndices


def load_dataset(config: DataConfig, data_root: Path) -> Dataset:
    """Read, split and preprocess a data set. The same config and files give the same data set.

    Args:
        config: the study file's data section.
        data_root: the folder of the data sets. Missing files are downloaded to it. A relative `path` is searched in the
            working directory first, then in this folder.

    Raises:
        UserError: the files are missing or damaged, or the split is impossible.
    """
    source = _SOURCES[config.name]
    raw = source.read(config, data_root)
    indices = _split(source, raw, config)
    return _prepared(raw, _splits(raw, indices, config), indices, config)


def load_for_both(config: DataConfig, data_root: Path) -> tuple[Dataset, Dataset]:
    """The images of the students, and all images, which the teachers learn from. The files are read once.

    `data.fraction` limits the students only (noisy teacher, section 3.1). If it is 1, both are the same object.
    Otherwise they are what `load_dataset` returns with that fraction and with 1. They share the validation and test
    images.

    Raises:
        UserError: as `load_dataset`.
    """
    if config.fraction == 1:
        dataset = load_dataset(config, data_root)
        return dataset, dataset
    source = _SOURCES[config.name]
    raw = source.read(config, data_root)
    for_all = config.model_copy(update={"fraction": 1.0})
    share, everything = _split(source, raw, config), _split(source, raw, for_all)
    train = _taken(raw, share.train, config)  # before the rows of `raw` are moved
    splits = _splits(raw, everything, config)
    students = _prepared(raw, (train, *splits[1:]), share, config)
    return students, _prepared(raw, splits, everything, for_all)


def _split(source: Source, raw: RawDataset, config: DataConfig) -> SplitIndices:
    return source.split(raw, config, np.random.default_rng(config.split_seed))


def _prepared(
    raw: RawDataset, splits: tuple[Split, Split, Split], indices: SplitIndices, config: DataConfig
) -> Dataset:
    train, validation, test = splits
    max_value = 1.0 if _normalized(config) else raw.max_value
    pixel_mean = mean_image(train.images, max_value) if "subtract_pixel_mean" in config.preprocess else None
    return Dataset(
        name=config.name,
        classes=raw.classes,
        train=train,
        validation=validation,
        test=test,
        max_value=max_value,
        pixel_mean=pixel_mean,
        mirror=config.mirror,
        digest=content_digest(splits, raw.classes, config.preprocess, max_value, pixel_mean, config.mirror),
        notes=(*raw.notes, *_split_notes(raw, indices)),
        read_images=len(raw.training),
        train_rows=indices.train,
        validation_rows=indices.validation,
    )


def _split_notes(raw: RawDataset, indices: SplitIndices) -> list[str]:
    """The classes that have no validation image: they had only one image, which is trained on."""
    counts = np.bincount(raw.training.labels[indices.validation], minlength=len(raw.classes))
    without = [name for name, count in zip(raw.classes, counts, strict=True) if count == 0]
    if not without:
        return []
    named = ", ".join(map(shown, without[:5])) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
    return [f"no validation image of {len(without)} of {len(raw.classes)} classes: {named}"]


def describe_dataset(config: DataConfig, data_root: Path) -> DatasetFacts:
    """The image shape and the class count, as far as they are known before the data set is read.

    Of an image folder only the file names and one image are read.

    Raises:
        UserError: an image folder does not exist, or has no class or no image.
    """
    return _SOURCES[config.name].describe(config, data_root)


_SOURCES = {source.name: source for source in SOURCES}


def _normalized(config: DataConfig) -> bool:
    return "local_contrast_normalization" in config.preprocess


def _taken(raw: RawDataset, indices: npt.NDArray[np.int64], config: DataConfig) -> Split:
    """Some training images, in memory of their own."""
    images, labels = raw.training.images, raw.training.labels[indices]
    if _normalized(config):
        return Split(lcn.local_contrast_normalization(images, indices, raw.max_value), labels)
    return Split(images[indices], labels)


def _splits(raw: RawDataset, indices: SplitIndices, config: DataConfig) -> tuple[Split, Split, Split]:
    """Training, validation and test images. The arrays of `raw` are used, not copied: their rows are moved, or lost."""
    labels, border = raw.training.labels, len(indices.train)
    images = in_order(raw.training.images, np.concatenate([indices.train, indices.validation]))
    splits = (
        Split(images[:border], labels[indices.train]),
        Split(images[border:], labels[indices.validation]),
        raw.test,
    )
    if not _normalized(config):
        return splits
    train, validation, test = (Split(_normalised(each.images, raw.max_value), each.labels) for each in splits)
    return train, validation, test


def _normalised(images: Pixels, max_value: float) -> npt.NDArray[np.float32]:
    """Normalised images. The memory of the images is given back as they are normalised, so their pixels are lost."""
    if not images.flags.writeable:
        images = images.copy()

    def release(start: int, end: int) -> None:
        pages.release(images[start:end])

    return lcn.local_contrast_normalization(images, np.arange(len(images)), max_value, release)
