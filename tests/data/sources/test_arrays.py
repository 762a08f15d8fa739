"""Images as arrays of an .npz file: the names and shapes that people have, and every mistake in one line."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support.damage import named_in_one_line
from support.dataset_files import pictures, write_zip

from study.config import DataConfig
from study.data import describe_dataset, load_dataset
from study.data.files.pictures import fitted
from study.data.sources.arrays import describe_arrays, read_arrays
from study.data.sources.image_folder import rendering_of
from study.errors import UserError

Array = npt.NDArray[Any]
SHAPES = {"train": (12, 5, 4), "val": (4, 5, 4), "test": (6, 5, 4)}


def _arrays(channels: tuple[int, ...] = (), parts: tuple[str, ...] = ("train", "val", "test")) -> dict[str, Array]:
    """As MedMNIST writes them: channels last, labels of the shape (N, 1)."""
    arrays: dict[str, Array] = {}
    for seed, part in enumerate(parts):
        arrays[f"{part}_images"] = pictures((*SHAPES[part], *channels), seed)
        arrays[f"{part}_labels"] = (np.arange(SHAPES[part][0], dtype=np.uint8) % 3)[:, np.newaxis]
    return arrays


def _write(path: Path, arrays: dict[str, Array]) -> Path:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as refusal:
        read_arrays(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_medmnist_is_read_as_it_is(tmp_path: Path, channels: tuple[int, ...]) -> None:
    arrays = _arrays(channels)
    path = _write(tmp_path / "medmnist.npz", arrays)
    raw = read_arrays(path)
    expected = {part: arrays[f"{part}_images"].reshape(*SHAPES[part], -1).transpose(0, 3, 1, 2) for part in SHAPES}
    assert np.array_equal(raw.training.images, np.concatenate([expected["train"], expected["val"]]))
    assert np.array_equal(raw.test.images, expected["test"])
    assert raw.training.labels.tolist() == [*range(3)] * 4 + [0, 1, 2, 0]
    assert raw.classes == ("0", "1", "2")
    assert raw.held_out == 4
    assert raw.notes == (f"{path}: val_images are the validation images; data.validation has no effect",)
    assert describe_arrays(path).input_shape == raw.training.images.shape[1:]
    assert describe_arrays(path).class_count == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (3, 5, 4)])
def test_arrays_of_keras_are_read(tmp_path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    images = pictures((12, *shape))
    names = np.array(["cat", "ant"])[np.arange(12) % 2]
    path = _write(
        tmp_path / "a.npz",
        {"x_train": images.astype(dtype), "y_train": names, "x_test": images[:4], "y_test": names[:4]},
    )
    raw = read_arrays(path)
    expected = images[:, np.newaxis] if len(shape) == 2 else images
    assert np.array_equal(raw.training.images, expected.transpose(0, 3, 1, 2) if shape[-1] == 3 else expected)
    assert raw.classes == ("ant", "cat")
    assert raw.test.labels.tolist() == [1, 0, 1, 0]
    assert raw.held_out == 0


def test_arrays_are_resized_as_pictures_are(tmp_path: Path) -> None:
    arrays = _arrays((3,), ("train", "test"))
    path = _write(tmp_path / "a.npz", arrays)
    config = DataConfig.model_validate({"name": "arrays", "path": str(path), "size": [3, 4]})
    raw = read_arrays(path, rendering_of(config))
    expected = [np.asarray(fitted(Image.fromarray(image), (3, 4))) for image in arrays["train_images"]]
    assert np.array_equal(raw.training.images, np.stack(expected).transpose(0, 3, 1, 2))
    assert raw.notes == (f"{path}: 18 of 18 images were resized and cropped to 4×3 pixels (data.size)",)
    assert describe_dataset(config, tmp_path).input_shape == (3, 3, 4)


def test_arrays_in_the_order_of_fortran_are_read(tmp_path: Path) -> None:
    arrays = _arrays((3,))
    plain = read_arrays(_write(tmp_path / "a.npz", arrays))
    fortran = read_arrays(_write(tmp_path / "b.npz", {name: np.asfortranarray(each) for name, each in arrays.items()}))
    assert np.array_equal(plain.training.images, fortran.training.images)
    assert np.array_equal(plain.test.images, fortran.test.images)


def test_arrays_have_no_background(tmp_path: Path) -> None:
    path = str(_write(tmp_path / "a.npz", _arrays()))
    config = DataConfig.model_validate({"name": "arrays", "path": path, "background": "#ffffff"})
    with pytest.raises(UserError, match=r"data.background: .* has arrays, which have no transparent pixels; remove it"):
        describe_dataset(config, tmp_path)


def test_test_images_that_are_training_images_are_counted(tmp_path: Path) -> None:
    arrays = _arrays(parts=("train", "test"))
    arrays["test_images"][2] = arrays["train_images"][5]
    (note,) = read_arrays(_write(tmp_path / "a.npz", arrays)).notes
    assert note.endswith("1 of 6 test images are training images too, for instance test_images[2] and train_images[5]")


def test_a_study_reads_arrays_by_their_path(tmp_path: Path) -> None:
    _write(tmp_path / "a.npz", _arrays((3,)))
    config = DataConfig.model_validate({"name": "arrays", "path": "a.npz"})
    dataset = load_dataset(config, tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (12, 4, 6)
    assert describe_dataset(config, tmp_path).input_shape == dataset.input_shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_labels": None}, "has no array test_labels; it has test_images, train_images"),
        ({"train_images": None}, "has no train_images and no x_train; it has test_images"),
        ({"train_labels": np.zeros((12, 14), np.uint8)}, "train_labels has the shape (12, 14); expected one label"),
        ({"train_labels": np.zeros(11, np.uint8)}, "expected one label for each of the 12 images"),
        ({"train_labels": np.zeros(12, np.uint8)}, "only one class in train_labels"),
        ({"train_labels": np.zeros(12)}, "train_labels is of float64; expected whole numbers or text"),
        ({"test_labels": np.full(6, 7)}, "test_labels has the class 7, which no training image has"),
        ({"test_images": pictures((6, 5, 5))}, "those of test_images (1, 5, 5); all need one shape"),
        ({"train_images": pictures((12, 5, 4, 2))}, "train_images has the shape (12, 5, 4, 2); expected (N, H, W)"),
        ({"train_images": pictures((0, 5, 4))}, "train_images has the shape (0, 5, 4)"),
        ({"train_images": pictures((12, 5, 4)) / 255}, "train_images is of float64 and has values that are not whole"),
        ({"train_images": np.full((12, 5, 4), 256)}, "not whole numbers from 0 to 255"),
        ({"train_images": np.full((12, 5, 4), np.nan)}, "not whole numbers from 0 to 255"),
        ({"train_images": np.zeros((12, 5, 4), np.uint8)}, "12 of 12 training images are equal, for instance train_im"),
        ({"train_images": np.full((12, 5, 4), None)}, "train_images has objects, which are not read"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: dict[str, Array | None], message: str) -> None:
    arrays = _arrays(parts=("train", "test")) | change
    kept = {name: array for name, array in arrays.items() if array is not None}
    assert message in _refused(_write(tmp_path / "a.npz", kept))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "an empty file, not an .npz"), (b"\x89HDF\r\n\x1a\n", "an HDF5 file, not an .npz"), (b"x" * 99, "another")],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert message in _refused(tmp_path / "a.npz")


def test_a_zip_without_arrays_is_named(tmp_path: Path) -> None:
    assert "without arrays" in _refused(write_zip(tmp_path / "a.npz", {"x.txt": b"x"}))
    assert "does not exist" in _refused(tmp_path / "b.npz")


def test_a_damaged_file_is_read_or_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npz", _arrays())
    assert named_in_one_line(path, read_arrays) > 30


@pytest.mark.parametrize(("dtype", "size"), [("uint8", {}), ("float64", {}), ("uint8", {"size": 28})])
def test_arrays_are_in_memory_once(tmp_path: Path, dtype: str, size: dict[str, int]) -> None:
    arrays: dict[str, Array] = {}
    side = 56 if size else 28
    for seed, (part, count) in enumerate({"train": 4000, "val": 500, "test": 500}.items()):
        arrays[f"{part}_images"] = pictures((count, side, side, 3), seed).astype(dtype)
        arrays[f"{part}_labels"] = np.arange(count) % 10
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    config = DataConfig.model_validate({"name": "arrays", "path": str(path), **size})
    load_dataset(config, tmp_path)
    tracemalloc.start()
    load_dataset(config, tmp_path)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest <= 1.3 * 5000 * 28 * 28 * 3
