"""From a study file's data section to a dataset."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.dataset_files import MNIST_NAMES, image_set, write_folder, write_mnist, write_svhn, write_tar

from study.config import DataConfig
from study.data import Dataset, describe_dataset, load_dataset
from study.data.files.idx import read_idx
from study.data.lcn import local_contrast_normalization
from study.data.load import load_for_both
from study.data.sources import mnist
from study.errors import UserError


def _load(data_root: Path = Path(), **settings: object) -> Dataset:
    return load_dataset(DataConfig.model_validate(settings), data_root)


def test_a_path_that_is_nowhere_is_said_with_the_places(workspace: Path) -> None:
    with pytest.raises(
        UserError, match=r"photos does not exist beside the study file, in the working folder or in the"
    ):
        _load(workspace / "data", name="image_folder", path="photos")


def test_the_digits_are_split_by_class() -> None:
    dataset = _load(name="digits")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (997, 300, 500)
    assert np.bincount(dataset.test.labels).tolist() == [50] * 10
    assert np.bincount(dataset.validation.labels).tolist() == [30] * 10
    assert dataset.input_shape == (1, 8, 8)
    assert dataset.class_count == 10
    assert dataset.max_value == 16
    assert dataset.pixel_mean is None
    assert dataset.train_size == 997
    assert dataset.train.images.dtype == np.uint8


def test_every_digit_is_in_one_split() -> None:
    dataset = _load(name="digits")
    everything = np.concatenate([split.images for split in (dataset.train, dataset.validation, dataset.test)])
    original = load_digits().images.astype(np.uint8)
    assert sorted(image.tobytes() for image in everything) == sorted(image.tobytes() for image in original)


def test_another_split_seed_gives_another_test_set_of_digits() -> None:
    one, other = _load(name="digits"), _load(name="digits", split_seed=1)
    assert not np.array_equal(one.test.images, other.test.images)
    assert one.digest != other.digest


def test_the_same_settings_give_the_same_dataset(tmp_path: Path) -> None:
    files = image_set({"a": 6, "b": 6}, {"a": 2, "b": 2})
    folder = write_folder(tmp_path / "folder", files)
    archive = write_tar(tmp_path / "a.tar.gz", dict(reversed(files.items())))
    one, other = (_load(name="image_folder", path=str(path), validation=2) for path in (folder, archive))
    assert one.digest == other.digest
    assert len(one.digest) == 64
    assert np.array_equal(one.train.images, other.train.images)


@pytest.mark.parametrize(
    "change",
    [
        {"validation": 20},
        {"fraction": 0.5},
        {"preprocess": ["subtract_pixel_mean"]},
        {"preprocess": ["local_contrast_normalization"]},
        {"preprocess": ["local_contrast_normalization", "subtract_pixel_mean"]},
        {"augment": ["mirror"]},
        {"split_seed": 5},
    ],
)
def test_the_digest_changes_with_every_setting(tmp_path: Path, change: dict[str, object]) -> None:
    write_mnist(tmp_path)
    plain: dict[str, object] = {"name": "mnist", "validation": 10}
    assert _load(tmp_path, **plain).digest != _load(tmp_path, **plain | change).digest


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_digest_changes_with_any_pixel_and_class_name(tmp_path: Path, part: str) -> None:
    files = image_set({"a": 3, "b": 3}, {"a": 3, "b": 3})
    other_pixels = dict(files)
    other_pixels[f"{part}/a/000.png"] = files["train/b/002.png"]
    other_names = {name.replace("/b/", "/c/"): content for name, content in files.items()}
    digests = {
        _load(name="image_folder", path=str(write_folder(tmp_path / str(number), kind)), validation=2).digest
        for number, kind in enumerate([files, other_pixels, other_names])
    }
    assert len(digests) == 3


def test_the_mean_is_that_of_the_training_images_alone(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    dataset = _load(tmp_path, name="mnist", validation=10, fraction=0.5, preprocess=["subtract_pixel_mean"])
    assert len(dataset.train) == 15  # half of the 30 that validation leaves of 40
    assert dataset.pixel_mean is not None
    assert dataset.pixel_mean.dtype == np.float32
    expected = (dataset.train.images / 255).mean(axis=0)
    np.testing.assert_allclose(dataset.pixel_mean, expected, atol=1e-6)


def test_mirroring_doubles_the_training_set_and_stores_nothing(tmp_path: Path) -> None:
    path = write_folder(tmp_path, image_set({"a": 6, "b": 6}, {"a": 2, "b": 2}))
    dataset = _load(name="image_folder", path=str(path), validation=2)
    assert dataset.mirror
    assert len(dataset.train) == 10
    assert dataset.train_size == 20


def test_svhn_is_normalised_and_split_its_own_way(tmp_path: Path) -> None:
    written = write_svhn(tmp_path, train=60, extra=40)
    dataset = _load(tmp_path, name="svhn", validation=30)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (70, 30, 20)
    assert np.bincount(dataset.validation.labels).tolist() == [3] * 10
    assert dataset.max_value == 1
    assert dataset.train.images.dtype == np.float32
    expected = local_contrast_normalization(written["test"], np.arange(20), 255.0)
    assert np.array_equal(dataset.test.images, expected)


def test_relative_path_lookup_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is looked up in the working directory first and then in the data root."""
    write_folder(tmp_path / "data" / "pictures", image_set({"a": 2, "b": 2}, {"a": 1}))
    write_folder(tmp_path / "work" / "pictures", image_set({"c": 2, "d": 2}, {"c": 1}))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    settings: dict[str, object] = {"name": "image_folder", "path": "pictures", "validation": 2}
    assert _load(tmp_path / "data", **settings).classes == ("a", "b")
    monkeypatch.chdir(tmp_path / "work")
    assert _load(tmp_path / "data", **settings).classes == ("c", "d")


@pytest.mark.parametrize("name", ["digits", "mnist", "svhn"])
def test_facts_before_loading_are_true_after_it(tmp_path: Path, name: str) -> None:
    if name == "mnist":
        write_mnist(tmp_path)
    elif name == "svhn":
        write_svhn(tmp_path)
    config = DataConfig.model_validate({"name": name, "validation": 30 if name == "digits" else 0.3})
    facts = describe_dataset(config, tmp_path)
    dataset = load_dataset(config, tmp_path)
    assert (facts.input_shape, facts.class_count) == (dataset.input_shape, dataset.class_count)


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_is_described_without_its_files(tmp_path: Path, name: str, classes: int) -> None:
    facts = describe_dataset(DataConfig.model_validate({"name": name}), tmp_path)
    assert (facts.input_shape, facts.class_count) == ((3, 32, 32), classes)


def test_reading_datasets_needs_no_torch() -> None:
    script = "import sys, study.data; assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_classes_without_a_validation_image_are_noted(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", image_set({"a": 30, "rare": 1, "b": 3}, {"a": 1}))
    dataset = _load(tmp_path, name="image_folder", path="images", validation=0.1)
    assert np.bincount(dataset.validation.labels, minlength=3).tolist() == [3, 1, 0]
    assert dataset.notes == ("no validation image of 1 of 3 classes: rare",)


def test_the_background_is_a_setting_of_the_data(tmp_path: Path) -> None:
    files = image_set({"a": 3, "b": 3}, {"a": 1})
    clear = io.BytesIO()
    Image.new("RGBA", (5, 6), (0, 0, 0, 0)).save(clear, "PNG")
    write_folder(tmp_path / "images", files | {"test/a/000.png": clear.getvalue()})
    white, blue = (
        _load(tmp_path, name="image_folder", path="images", preprocess=[], **settings)
        for settings in ({}, {"background": "#0000FF"})
    )
    assert white.test.images[0, :, 0, 0].tolist() == [255, 255, 255]
    assert blue.test.images[0, :, 0, 0].tolist() == [0, 0, 255]
    assert white.digest != blue.digest
    assert "drawn on #0000ff (data.background)" in blue.notes[0]


def test_pictures_of_any_size_are_read_with_a_size(tmp_path: Path) -> None:
    files = image_set({"a": 4, "b": 4}, {"a": 1}) | image_set({"c": 4}, {"c": 1}, size=(9, 7, 3))
    write_folder(tmp_path / "images", files)
    settings: dict[str, object] = {"name": "image_folder", "path": "images", "validation": 3}
    for read in (load_dataset, describe_dataset):
        with pytest.raises(UserError, match=r"5 of 14 images are not 5×6 pixels like the others: 5 of 7×9"):
            read(DataConfig.model_validate(settings), tmp_path)
    for size, shape in ((4, (3, 4, 4)), ([6, 5], (3, 6, 5))):
        config = DataConfig.model_validate(settings | {"size": size})
        dataset = load_dataset(config, tmp_path)
        assert dataset.input_shape == describe_dataset(config, tmp_path).input_shape == shape
    unchanged = load_dataset(config, tmp_path)
    assert np.array_equal(
        unchanged.test.images[0], np.asarray(Image.open(io.BytesIO(files["test/a/000.png"]))).transpose(2, 0, 1)
    )
    assert unchanged.notes == (
        f"{tmp_path / 'images'}: 5 of 14 images were resized and cropped to 5×6 pixels (data.size)",
    )


@pytest.mark.parametrize("fraction", [1.0, 0.3])
@pytest.mark.parametrize(
    "preprocess", [[], ["subtract_pixel_mean"], ["local_contrast_normalization", "subtract_pixel_mean"]]
)
def test_students_and_teachers_share_one_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fraction: float, preprocess: list[str]
) -> None:
    write_mnist(tmp_path, train=200)
    settings = {"name": "mnist", "validation": 50, "fraction": fraction, "preprocess": preprocess}
    config = DataConfig.model_validate(settings)
    alone = [load_dataset(config.model_copy(update={"fraction": each}), tmp_path) for each in (fraction, 1.0)]
    opened: list[str] = []

    def recorded(path: Path, item_shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        opened.append(path.name)
        return read_idx(path, item_shape)

    monkeypatch.setattr(mnist, "read_idx", recorded)
    for found, expected in zip(load_for_both(config, tmp_path), alone, strict=True):
        assert found.digest == expected.digest
        assert np.array_equal(found.train.images, expected.train.images)
        assert np.array_equal(found.validation.images, expected.validation.images)
        assert np.array_equal(found.train.labels, expected.train.labels)
        assert found.read_images == 200
        assert np.array_equal(found.train_rows, expected.train_rows)
        assert np.array_equal(found.validation_rows, expected.validation_rows)
        assert (len(found.train_rows), len(found.validation_rows)) == (len(found.train), 50)
    assert sorted(opened) == sorted(MNIST_NAMES)
