"""What a data set declares: its name, what is known of it before it is read, and how it is read and split.

Works on a study file's data section and a folder of files. Knows no data set by name.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.adapters import pages
from study.config import DataConfig
from study.data.dataset import DatasetFacts, RawDataset
from study.data.splits import SplitIndices, stratified_share, stratified_split
from study.errors import UserError


def split_by_class(raw: RawDataset, config: DataConfig, rng: np.random.Generator) -> SplitIndices:
    """Hold out the data set's own validation images, or draw some class by class (`stratified_split`)."""
    if raw.held_out:
        own = len(raw.training) - raw.held_out
        train = stratified_share(raw.training.labels[:own], raw.classes, config.fraction, rng)
        return SplitIndices(train, np.arange(own, len(raw.training)))
    return stratified_split(raw.training.labels, raw.classes, config.validation, config.fraction, rng)


def path_of(config: DataConfig, data_root: Path) -> Path:
    """The path of a data section. A relative one is looked for in the working directory, then in the data folder.

    Raises:
        UserError: a relative one is in neither.
    """
    assert config.path is not None  # DataConfig checks that a data set with a path has one
    # os.path, because `Path.exists` raises for a path that is too long, and `Path.expanduser` for an unknown user.
    path = Path(os.path.expanduser(config.path))
    if path.is_absolute() or os.path.exists(path):
        return path
    if os.path.exists(data_root / path):
        return data_root / path
    raise UserError(
        f"data.path: {path} does not exist beside the study file, in the working folder or in the data folder "
        f"{data_root} (--data-root)"
    )


MACHINE_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
"""The memory of this machine."""


def memory_for_each_byte(config: DataConfig) -> float:
    """How many bytes are in memory at most for each byte of the images, while they are read and preprocessed.

    Local contrast normalisation makes a float of four bytes of each. The byte is given back then, where the system can
    do that. With a fraction, the students have a copy of their share.
    """
    share = config.fraction if config.fraction < 1 else 0.0
    if "local_contrast_normalization" in config.preprocess:
        return 4 * (1 + share) + (0 if pages.IS_AVAILABLE else 1)
    return 1 + share


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
        name: its name in the study file. `study/datasets.py` has the same name, with the defaults of its data section.
        facts: its image shape and class count; or a function of the data section and the data folder that finds them
            without reading every image.
        read: reads it from the data folder. Raises `UserError` if a file is missing or damaged.
        split: holds out the validation images.
    """

    name: str
    facts: DatasetFacts | Callable[[DataConfig, Path], DatasetFacts]
    read: Callable[[DataConfig, Path], RawDataset]
    split: Callable[[RawDataset, DataConfig, np.random.Generator], SplitIndices] = split_by_class

    def describe(self, config: DataConfig, data_root: Path) -> DatasetFacts:
        """Its image shape and class count, as far as they are known before it is read.

        Raises:
            UserError: its files are not there, or hold no image.
        """
        return self.facts if isinstance(self.facts, DatasetFacts) else self.facts(config, data_root)
