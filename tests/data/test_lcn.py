"""Local contrast normalisation against SciPy's own filters."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import correlate
from support.dataset_files import pictures

from study.data import lcn
from study.data.lcn import local_contrast_normalization


def _by_filters(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """One image (C, H, W), by a dense window over all channels at once."""
    x = image / 255
    offsets = np.arange(-4, 5)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 2.0**2))
    window /= window.sum() * len(x)
    weighted_mean = sum(correlate(channel, window, mode="reflect") for channel in x)
    v = x - weighted_mean
    sigma = np.sqrt(sum(correlate(channel**2, window, mode="reflect") for channel in v))
    return v / np.maximum(max(sigma.mean(), 1e-4), sigma)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 20, 13), (2, 3, 3)])
def test_it_agrees_with_filters(shape: tuple[int, int, int]) -> None:
    images = pictures((5, *shape))
    images[2] //= 16
    normalized = local_contrast_normalization(images, np.array([4, 2, 0]), 255.0)
    assert normalized.dtype == np.float32
    for result, index in zip(normalized, (4, 2, 0), strict=True):
        np.testing.assert_allclose(result, _by_filters(images[index]), atol=2e-4)


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_constant_image_becomes_zeros(value: int) -> None:
    images = np.full((2, 3, 32, 32), value, dtype=np.uint8)
    normalized = local_contrast_normalization(images, np.arange(2), 255.0)
    assert not normalized.any()


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures((7, 3, 12, 12))
    at_once = local_contrast_normalization(images, np.arange(7), 255.0)
    monkeypatch.setattr(lcn, "CHUNK_PIXELS", 2 * 3 * 12 * 12)
    np.testing.assert_allclose(local_contrast_normalization(images, np.arange(7), 255.0), at_once, atol=1e-5)


def test_the_images_are_left_as_they_are() -> None:
    images = pictures((3, 1, 8, 8)).astype(np.float32)
    before = images.copy()
    local_contrast_normalization(images, np.arange(3), 255.0)
    assert np.array_equal(images, before)
