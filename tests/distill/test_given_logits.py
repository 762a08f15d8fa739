"""A teacher that is known by its logits alone: which rows are taken, and which files are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from study.config import DataConfig
from study.data.dataset import Dataset
from study.data.load import load_dataset
from study.distill.given_logits import read_logits
from study.errors import UserError

CLASSES = 10


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset(DataConfig.model_validate({"name": "digits", "fraction": 0.5, "augment": ["mirror"]}), Path())


def _numbered(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Row i has i in its first column."""
    rows = np.zeros((count, CLASSES), dtype=np.float32)
    rows[:, 0] = np.arange(count)
    return rows


def _read(file: Path, dataset: Dataset | None) -> None:
    given = read_logits(file, CLASSES)
    if dataset is not None:
        given.of(dataset, "train")


def _refusal(file: Path, dataset: Dataset | None = None) -> str:
    with pytest.raises(UserError) as refused:
        _read(file, dataset)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_every_image_gets_its_own_row(tmp_path: Path, digits: Dataset, suffix: str) -> None:
    """The rows are those of the training images as they were read; the mirror images are behind them."""
    file, images = tmp_path / f"big{suffix}", digits.read_images
    train, test = _numbered(2 * images), _numbered(len(digits.test))
    if suffix == ".npz":
        np.savez(file, train=train, test=test)
    else:
        save_file({"train": train, "test": test}, file)
    given = read_logits(file, CLASSES)
    taught, validation = given.of(digits, "train")[:, 0], given.of(digits, "validation")[:, 0]
    assert len(taught) == digits.train_size
    assert torch.equal(taught[len(digits.train) :], taught[: len(digits.train)] + images)
    assert set(taught.tolist()).isdisjoint(validation.tolist())
    whole = load_dataset(DataConfig.model_validate({"name": "digits", "validation": 1}), Path())
    raw = np.empty((images, *digits.input_shape), dtype=np.uint8)
    raw[whole.train_rows], raw[whole.validation_rows] = whole.train.images, whole.validation.images
    assert np.array_equal(raw[validation.long().numpy()], digits.validation.images)
    assert np.array_equal(raw[taught[: len(digits.train)].long().numpy()], digits.train.images)


def test_rows_of_mirror_images_are_not_needed_without_them(tmp_path: Path, digits: Dataset) -> None:
    np.savez(tmp_path / "big.npz", train=_numbered(digits.read_images))
    given, plain = read_logits(tmp_path / "big.npz", CLASSES), replace(digits, mirror=False)
    assert len(given.of(plain, "train")) == len(digits.train)
    assert "no rows for mirror images" in _refusal(tmp_path / "big.npz", digits)


def test_another_number_of_rows_is_refused(tmp_path: Path, digits: Dataset) -> None:
    np.savez(tmp_path / "big.npz", train=_numbered(5))
    images, test = digits.read_images, len(digits.test)
    assert f"train has 5 rows; expected one for each of the {images} training images of digits" in _refusal(
        tmp_path / "big.npz", digits
    )
    np.savez(tmp_path / "big.npz", train=_numbered(2 * digits.read_images), test=_numbered(5))
    assert f"test has 5 rows, and digits has {test} test images" in _refusal(tmp_path / "big.npz", digits)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"logits": _numbered(3)}, "has no array `train`, but "),
        ({"train": np.zeros((3, 10), np.int64)}, "torch.int64 (3, 10); expected floating-point (rows, classes)"),
        ({"train": np.zeros(3, dtype=np.float32)}, "train is torch.float32 (3,)"),
        ({"train": np.zeros((3, 9), dtype=np.float32)}, "train has 9 columns; expected one for each of the 10 classes"),
        ({"train": np.full((3, 10), np.inf, dtype=np.float32)}, "train has numbers that are NaN or infinite"),
        ({"train": np.array([[None] * 10])}, "not a .npz file of numbers"),
        ({"train": np.zeros((3, 10), dtype=np.complex64)}, "train is torch.complex64"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "big.npz", **arrays)
    assert says in _refusal(tmp_path / "big.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04N."])
@pytest.mark.parametrize("name", ["big.npz", "big.safetensors"])
def test_garbage_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert _refusal(tmp_path / name).startswith(f"logits {tmp_path / name}: not a ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.npz: no such file" in _refusal(tmp_path / "nowhere.npz")
