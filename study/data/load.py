"""From the data section of a study file to a dataset in memory.

Works on a `DataConfig` and a folder. Knows every source by name, in what order preprocessing happens, and nothing
of tensors.
"""

import os
from pathlib import Path

import numpy as np

from study.config import DataConfig
from study.data import lcn
from study.data.dataset import Dataset, DatasetFacts, RawDataset, Split, content_digest
from study.data.preprocess import mean_image
from study.data.sources import cifar, digits, image_folder, mnist, svhn
from study.data.splits import SplitIndices, stratified_split


def load_dataset(config: DataConfig, data_root: Path) -> Dataset:
    """Read, split and preprocess a dataset; the same config and files give the same dataset.

    Args:
        config: the study file's data section.
        data_root: where datasets lie and are downloaded to. A relative `path` is looked for in the working
            directory, then here.

    Raises:
        UserError: the files are missing or damaged, or the split cannot be had.
    """
    raw = _read(config, data_root)
    indices = _split(raw, config)
    splits = [
        _take(raw.training, indices.train, raw, config),
        _take(raw.training, indices.validation, raw, config),
        _take(raw.test, np.arange(len(raw.test)), raw, config),
    ]
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
    )


def describe_dataset(config: DataConfig, data_root: Path) -> DatasetFacts:
    """What can be said of a dataset at almost no cost; an image folder is only glanced at.

    Raises:
        UserError: an image folder is not there, or holds no class or no image.
    """
    match config.name:
        case "digits":
            return DatasetFacts(digits.INPUT_SHAPE, len(digits.CLASSES))
        case "mnist":
            return DatasetFacts(mnist.INPUT_SHAPE, len(mnist.CLASSES))
        case "svhn":
            return DatasetFacts(svhn.INPUT_SHAPE, len(svhn.CLASSES))
        case "cifar10":
            return DatasetFacts(cifar.INPUT_SHAPE, cifar.CIFAR10.class_count)
        case "cifar100":
            return DatasetFacts(cifar.INPUT_SHAPE, cifar.CIFAR100.class_count)
        case "image_folder":
            return image_folder.describe_image_folder(_path(config, data_root))


def _read(config: DataConfig, data_root: Path) -> RawDataset:
    match config.name:
        case "digits":
            return digits.read_digits(config.split_seed)
        case "mnist":
            return mnist.read_mnist(data_root)
        case "svhn":
            return svhn.read_svhn(data_root)
        case "cifar10":
            return cifar.read_cifar(cifar.CIFAR10, data_root)
        case "cifar100":
            return cifar.read_cifar(cifar.CIFAR100, data_root)
        case "image_folder":
            return image_folder.read_image_folder(_path(config, data_root))


def _path(config: DataConfig, data_root: Path) -> Path:
    assert config.path is not None  # the config model sees to it
    # Of os.path, which takes a path that cannot be (too long, nobody's home) for one that is not there.
    path = Path(os.path.expanduser(config.path))
    return path if path.is_absolute() or os.path.exists(path) else data_root / path


def _split(raw: RawDataset, config: DataConfig) -> SplitIndices:
    rng = np.random.default_rng(config.split_seed)
    labels = raw.training.labels
    if raw.extra:
        return svhn.split_with_extra(labels, raw.extra, config.validation, config.fraction, rng)
    return stratified_split(labels, raw.classes, config.validation, config.fraction, rng)


def _normalized(config: DataConfig) -> bool:
    return "local_contrast_normalization" in config.preprocess


def _take(
    split: Split, indices: np.ndarray[tuple[int], np.dtype[np.int64]], raw: RawDataset, config: DataConfig
) -> Split:
    if _normalized(config):
        images = lcn.local_contrast_normalization(split.images, indices, raw.max_value)
        return Split(images, split.labels[indices])
    return Split(split.images[indices], split.labels[indices])
