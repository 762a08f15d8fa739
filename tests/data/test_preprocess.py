"""Rows are moved, not copied: a data set is in memory once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.dataset_files import pictures, write_mnist

from study.config import DataConfig
from study.data import load_dataset
from study.data.preprocess import in_order


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_moved_into_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = pictures((17, 1, 2, 2), seed)
    order = rng.permutation(17)[: rng.integers(0, 18)]
    before = images.copy()
    found = in_order(images, order)
    assert np.array_equal(found, before[order])
    assert np.shares_memory(found, images) or not len(order)
    assert sorted(row.tobytes() for row in images) == sorted(row.tobytes() for row in before)


def test_rows_of_a_read_only_array_are_copied() -> None:
    images = pictures((5, 1, 2, 2))
    images.flags.writeable = False
    before = images.copy()
    assert np.array_equal(in_order(images, np.array([3, 0])), before[[3, 0]])
    assert np.array_equal(images, before)


@pytest.mark.parametrize("preprocess", [[], ["subtract_pixel_mean"], ["local_contrast_normalization"]])
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_loading_takes_little_more_than_the_pixels(tmp_path: Path, preprocess: list[str], fraction: float) -> None:
    """The peak is below 1.3 times the decoded bytes. With normalised images it is these bytes and the floats."""
    write_mnist(tmp_path, train=12_000, test=3_000)
    settings = {"name": "mnist", "validation": 2_000, "preprocess": preprocess, "fraction": fraction}
    config = DataConfig.model_validate(settings)
    load_dataset(config, tmp_path)  # modules that are imported when they are first used do not count
    tracemalloc.start()
    dataset = load_dataset(config, tmp_path)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    decoded = 15_000 * 784
    if dataset.train.images.dtype == np.uint8:
        assert highest <= 1.3 * decoded
    else:
        floats = 4 * 784 * (len(dataset.train) + len(dataset.validation) + len(dataset.test))
        assert highest <= decoded + floats + 2**23  # and the images that are normalised at a time
