"""Mini-batches: the right pixels, the right mirror images, nothing written and nothing copied."""

import warnings

import numpy as np
import pytest
import torch
from support.dataset_files import pictures

from study.data.dataset import Dataset, Split
from study.data.preprocess import mean_image
from study.data.tensors import ImageTensors, batch_sizes, shared_tensor


def _dataset(mirror: bool = False, mean: bool = False) -> Dataset:
    images = pictures((12, 3, 5, 7))
    labels = np.arange(12, dtype=np.int64) % 4
    images.flags.writeable = labels.flags.writeable = False
    split = Split(images, labels)
    return Dataset(
        name="test",
        classes=("a", "b", "c", "d"),
        train=split,
        validation=split,
        test=split,
        max_value=255.0,
        pixel_mean=mean_image(images, 255.0) if mean else None,
        mirror=mirror,
        digest="",
    )


def test_pixels_are_divided_and_the_mean_subtracted() -> None:
    dataset = _dataset(mean=True)
    batch = ImageTensors.of(dataset, "train").batch(torch.tensor([7, 0, 7]))
    assert dataset.pixel_mean is not None
    expected = dataset.train.images[[7, 0, 7]].astype(np.float32) / np.float32(255) - dataset.pixel_mean
    assert batch.dtype == torch.float32
    assert np.array_equal(batch.numpy(), expected)


def test_floats_are_taken_as_they_are() -> None:
    images = torch.randn(6, 1, 4, 4)
    tensors = ImageTensors(images, torch.zeros(6, dtype=torch.int64))
    assert torch.equal(tensors.batch(torch.tensor([5, 1])), images[[5, 1]])


@pytest.mark.parametrize("mean", [False, True])
def test_index_n_plus_i_is_the_flip_of_the_preprocessed_image_i(mean: bool) -> None:
    tensors = ImageTensors.of(_dataset(mirror=True, mean=mean), "train")
    indices = torch.tensor([3, 0, 11, 5])
    assert len(tensors) == 24
    assert torch.equal(tensors.batch(indices + 12), tensors.batch(indices).flip(3))
    mixed = tensors.batch(torch.tensor([3, 15, 12]))
    assert torch.equal(mixed, torch.cat([tensors.batch(torch.tensor([3])), tensors.batch(torch.tensor([15, 12]))]))
    assert torch.equal(tensors.labels(indices + 12), tensors.labels(indices))


def test_only_training_images_are_mirrored() -> None:
    dataset = _dataset(mirror=True)
    assert len(ImageTensors.of(dataset, "train")) == dataset.train_size == 24
    assert len(ImageTensors.of(dataset, "validation")) == 12
    assert len(ImageTensors.of(dataset, "test")) == 12


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_blocks_give_everything_once_and_in_order(mirror: bool, size: int) -> None:
    tensors = ImageTensors.of(_dataset(mirror, mean=True), "train")
    blocks = list(tensors.blocks(size))
    everything = torch.arange(len(tensors))
    assert all(len(images) == len(labels) <= size for images, labels in blocks)
    assert torch.equal(torch.cat([images for images, _ in blocks]), tensors.batch(everything))
    assert torch.equal(torch.cat([labels for _, labels in blocks]), tensors.labels(everything))


@pytest.mark.parametrize("mirror", [False, True])
def test_an_index_past_the_end_is_an_error(mirror: bool) -> None:
    tensors = ImageTensors.of(_dataset(mirror), "train")
    with pytest.raises((IndexError, RuntimeError)):
        tensors.batch(torch.tensor([len(tensors)]))
    with pytest.raises((IndexError, RuntimeError)):
        tensors.labels(torch.tensor([len(tensors)]))


def test_read_only_arrays_are_shared_without_a_copy_or_a_warning() -> None:
    array = pictures((4, 1, 2, 2))
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = shared_tensor(array)
    assert tensor.data_ptr() == array.ctypes.data


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("images", [pictures((6, 1, 4, 4)), np.ones((6, 1, 4, 4), dtype=np.float32)])
def test_nobody_writes_into_the_images(mirror: bool, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    before = images.copy()
    mean = torch.full((1, 4, 4), 0.25)
    tensors = ImageTensors(shared_tensor(images), torch.arange(6), 2.0, mean, mirror)
    for batch, _ in tensors.blocks(6):
        batch.zero_()
    tensors.batch(torch.arange(6)).zero_()
    assert np.array_equal(images, before)
    assert torch.equal(mean, torch.full((1, 4, 4), 0.25))


@pytest.mark.parametrize("mirror", [False, True])
def test_batches_have_their_channels_last_in_memory(mirror: bool) -> None:
    batch = ImageTensors.of(_dataset(mirror, mean=True), "train").to("cpu").batch(torch.tensor([1, 11, 4]))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_moving_to_a_device_keeps_everything() -> None:
    """Moving to another device changes nothing but the memory that is used."""
    tensors = ImageTensors.of(_dataset(mirror=True, mean=True), "train").to("meta")
    assert tensors.device.type == "meta"
    assert len(tensors) == 24
    assert tensors.batch(torch.arange(24, device="meta")).shape == (24, 3, 5, 7)


@pytest.mark.parametrize(
    ("images", "size", "least", "sizes"),
    [
        (48, 16, 1, [16, 16, 16]),
        (49, 16, 1, [16, 16, 16, 1]),
        (49, 16, 2, [16, 16, 17]),
        (50, 16, 2, [16, 16, 16, 2]),
        (17, 16, 2, [17]),
        (1, 16, 2, [1]),
        (3, 1, 2, [1, 1, 1]),
    ],
)
def test_small_last_batch_joins_the_one_before(images: int, size: int, least: int, sizes: list[int]) -> None:
    """A last mini-batch that is too small joins the one before."""
    assert batch_sizes(images, size, least) == sizes
