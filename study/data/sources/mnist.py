"""MNIST from its four original files, in the layout of `torchvision.datasets.MNIST`.

Works on the four IDX files in a folder. Fashion-MNIST and KMNIST have files of the same names and shapes, so
`IdxDataset` describes them too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.files.download import DownloadError, RemoteFile, fetch_files
from study.data.files.idx import find_idx, read_idx
from study.data.source import Source
from study.errors import UserError

INPUT_SHAPE = (1, 28, 28)
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class IdxDataset:
    """A data set of MNIST's four files.

    Attributes:
        title: its name in messages.
        torchvision: its class in `torchvision.datasets`, which is also its folder in the data folder. The class knows
            where the files come from, and their check sums.
        classes: names, in the order of the labels.
    """

    title: str
    torchvision: str
    classes: tuple[str, ...]

    def read(self, data_root: Path) -> RawDataset:
        """Read the four files (`*-ubyte` or `*-ubyte.gz`) in `data_root/NAME/raw`. Missing files are downloaded.

        Raises:
            UserError: a file is missing and cannot be downloaded, or its content is wrong.
        """
        folder = data_root / self.torchvision / "raw"
        missing = [name for name in FILES if find_idx(folder, name) is None]
        if missing:
            self._download(missing, folder, data_root)
        images, labels, test_images, test_labels = (find_idx(folder, name) or folder / name for name in FILES)
        return RawDataset(
            classes=self.classes,
            training=self._read_split(images, labels),
            test=self._read_split(test_images, test_labels),
            max_value=255.0,
        )

    def source(self, name: str) -> Source:
        """Its declaration, under its name in the study file."""
        return Source(
            name=name,
            facts=DatasetFacts(INPUT_SHAPE, len(self.classes)),
            read=lambda config, data_root: self.read(data_root),
        )

    def _read_split(self, images_path: Path, labels_path: Path) -> Split:
        images = read_idx(images_path, INPUT_SHAPE[1:])
        labels = read_idx(labels_path, ())
        if len(images) != len(labels):
            raise UserError(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}")
        if int(labels.max()) >= len(self.classes):
            raise UserError(f"{labels_path}: has the label {labels.max()}; {self.title}'s labels are 0 to 9")
        return Split(images[:, np.newaxis], labels.astype(np.int64))

    def _download(self, missing: Sequence[str], folder: Path, data_root: Path) -> None:
        import torchvision.datasets  # takes a second to import, and is rarely needed

        known = getattr(torchvision.datasets, self.torchvision)
        files = [
            RemoteFile(name, tuple(mirror + name for mirror in known.mirrors), md5)
            for name, md5 in known.resources
            if name.removesuffix(".gz") in missing
        ]
        try:
            fetch_files(files, folder, data_root)
        except DownloadError as error:
            raise UserError(
                f"{self.title} is not complete in {folder} and could not be downloaded ({error}); "
                f"put {', '.join(missing)} (or the same with .gz) in that folder"
            ) from None


MNIST = IdxDataset("MNIST", "MNIST", tuple(str(digit) for digit in range(10)))
SOURCE = MNIST.source("mnist")
