"""Data sets of MNIST's four files: read as torchvision reads them, with their published class names."""

from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from support.dataset_files import write_mnist

from study.config import DataConfig
from study.data import load_dataset
from study.data.sources.fashion_mnist import FASHION_MNIST
from study.data.sources.kmnist import KMNIST
from study.data.sources.mnist import IdxDataset
from study.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.parametrize("dataset", [FASHION_MNIST, KMNIST], ids=lambda each: each.title)
def test_it_is_read_as_torchvision_reads_it(tmp_path: Path, dataset: IdxDataset) -> None:
    write_mnist(tmp_path, name=dataset.torchvision)
    kind = getattr(torchvision.datasets, dataset.torchvision)
    raw = dataset.read(tmp_path)
    for split, theirs in ((raw.training, kind(str(tmp_path))), (raw.test, kind(str(tmp_path), train=False))):
        assert np.array_equal(split.images[:, 0], theirs.data.numpy())
        assert np.array_equal(split.labels, theirs.targets.numpy())
    assert list(raw.classes) == kind.classes


@pytest.mark.parametrize("dataset", [FASHION_MNIST, KMNIST], ids=lambda each: each.title)
def test_its_missing_files_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: IdxDataset) -> None:
    kind = getattr(torchvision.datasets, dataset.torchvision)
    monkeypatch.setattr(kind, "mirrors", [f"{(tmp_path / 'no-mirror').as_uri()}/"])
    with pytest.raises(UserError, match=f"^{dataset.title} is not complete in .*/{dataset.torchvision}/raw"):
        dataset.read(tmp_path)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_real_fashion_mnist_is_read(tmp_path: Path) -> None:
    (tmp_path / "FashionMNIST").mkdir()
    (tmp_path / "FashionMNIST" / "raw").symlink_to(DEBIAN)
    dataset = load_dataset(DataConfig(name="fashion_mnist"), tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (50_000, 10_000, 10_000)
    counts = [np.bincount(split.labels).tolist() for split in (dataset.train, dataset.validation, dataset.test)]
    assert counts == [[5000] * 10, [1000] * 10, [1000] * 10]
    assert dataset.notes == ()
