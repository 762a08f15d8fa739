"""SVHN's MATLAB files and its own validation protocol."""

from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from scipy.io import savemat
from support.dataset_files import pictures, write_svhn

from study.config import DataConfig
from study.data.sources import svhn, svhn_no_extra
from study.data.sources.svhn import read_svhn, split_with_extra
from study.errors import UserError


def test_the_three_files_are_read_as_they_are(tmp_path: Path) -> None:
    written = write_svhn(tmp_path)
    raw = read_svhn(tmp_path)
    assert np.array_equal(raw.training.images, np.concatenate([written["train"], written["extra"]]))
    assert np.array_equal(raw.test.images, written["test"])
    assert raw.training.images.flags.c_contiguous
    assert raw.extra == 30
    assert raw.test.labels[:11].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_svhn_without_extra_needs_two_files(tmp_path: Path) -> None:
    written = write_svhn(tmp_path)
    (tmp_path / "extra_32x32.mat").unlink()
    raw = svhn_no_extra.SOURCE.read(DataConfig(name="svhn_no_extra"), tmp_path)
    assert np.array_equal(raw.training.images, written["train"])
    assert np.array_equal(raw.test.images, written["test"])
    assert raw.extra == 0


def test_our_reader_agrees_with_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path)
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda _: True)  # it knows the true files only
    theirs = torchvision.datasets.SVHN(str(tmp_path), split="test")
    raw = read_svhn(tmp_path)
    assert np.array_equal(raw.test.images, theirs.data)
    assert np.array_equal(raw.test.labels, theirs.labels)


def test_validation_is_two_thirds_train_and_one_third_extra() -> None:
    labels = np.arange(1000, dtype=np.int64) % 10
    split = split_with_extra(labels, extra=600, validation=60, fraction=1.0, rng=np.random.default_rng(0))
    from_train, from_extra = labels[split.validation[split.validation < 400]], split.validation[40:]
    assert np.bincount(from_train).tolist() == [4] * 10
    assert (from_extra >= 400).all()
    assert np.bincount(labels[from_extra]).tolist() == [2] * 10
    assert sorted([*split.train, *split.validation]) == list(range(1000))


def test_a_share_is_taken_of_both_sets() -> None:
    labels = np.arange(1000, dtype=np.int64) % 10
    split = split_with_extra(labels, extra=600, validation=0.1, fraction=0.5, rng=np.random.default_rng(0))
    assert [(split.validation < 400).sum(), (split.validation >= 400).sum()] == [40, 60]
    assert [(split.train < 400).sum(), (split.train >= 400).sum()] == [180, 270]


def test_a_validation_set_too_small_to_divide_is_refused() -> None:
    with pytest.raises(UserError, match="2 is too few"):
        split_with_extra(np.arange(40) % 10, 20, 2, 1.0, np.random.default_rng(0))


_X = pictures((32, 32, 3, 4))
_Y = np.array([[1], [2], [3], [10]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": _X}, "no variable 'y'"),
        ({"X": _X[:, :, :2], "y": _Y}, r"X is \(32, 32, 2, 4\) of uint8"),
        ({"X": _X / 255, "y": _Y}, "of double, not"),
        ({"X": _X, "y": np.array(["a"] * 4)}, "y is .* of char, not N labels"),
        ({"X": _X, "y": _Y[:3]}, "3 labels for 4 images"),
        ({"X": _X, "y": _Y - 1}, "labels from 0 to 9"),
    ],
)
def test_a_wrong_content_is_named(tmp_path: Path, content: dict[str, object], message: str) -> None:
    write_svhn(tmp_path)
    savemat(tmp_path / "extra_32x32.mat", content)
    with pytest.raises(UserError, match=message) as error:
        read_svhn(tmp_path)
    assert "extra_32x32.mat" in str(error.value)


def test_too_many_images_are_refused_by_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More images than any official file has are refused by the header."""
    write_svhn(tmp_path)
    monkeypatch.setattr("study.data.sources.svhn.MAX_IMAGES", 35)
    with pytest.raises(UserError, match=r"train_32x32\.mat: X is \(32, 32, 3, 40\) of uint8"):
        read_svhn(tmp_path)


def test_images_that_do_not_fit_into_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are read; with local contrast normalisation each byte becomes a float."""
    write_svhn(tmp_path)
    monkeypatch.setattr("study.data.sources.svhn.MACHINE_BYTES", 90 * 3072 * 2)
    config = DataConfig(name="svhn", validation=6, preprocess=("subtract_pixel_mean",))
    assert len(svhn.SOURCE.read(config, tmp_path).training) == 70
    with pytest.raises(
        UserError, match="the 90 images of train, extra, test are too large for the memory of this mach"
    ):
        svhn.SOURCE.read(config.model_copy(update={"preprocess": ("local_contrast_normalization",)}), tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    path = tmp_path / "test_32x32.mat"
    whole = path.read_bytes()
    for damaged in (b"", b"no MATLAB file", b"x" * 500, whole[:200], whole[: len(whole) // 2], whole[:-3]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"test_32x32\.mat: ") as error:
            read_svhn(tmp_path)
        assert "\n" not in str(error.value)


def test_missing_files_that_cannot_be_fetched_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path)
    (tmp_path / "extra_32x32.mat").unlink()
    nowhere = {"extra": [(tmp_path / "nowhere").as_uri(), "extra_32x32.mat", "0" * 32]}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", nowhere)
    with pytest.raises(UserError, match=r"put extra_32x32\.mat in that folder"):
        read_svhn(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_32x32.mat", "train_32x32.mat"]


def test_a_matlab_file_of_another_version_is_named(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."
    (tmp_path / "test_32x32.mat").write_bytes(header.ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(UserError, match=r"test_32x32\.mat: .* it is an HDF5 file of MATLAB; save it with -v7$"):
        read_svhn(tmp_path)
