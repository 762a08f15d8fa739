"""Statistics of the training images, for preprocessing.

Works on arrays, chunk by chunk, so that no copy of a data set in floating point is made.
"""

import numpy as np

from study.data.dataset import PixelMean, Pixels

CHUNK = 4096


def mean_image(images: Pixels, max_value: float) -> PixelMean:
    """Per-pixel mean, (C, H, W) float32, of images (N, C, H, W) divided by `max_value`; summed in float64."""
    total = np.zeros(images.shape[1:], dtype=np.float64)
    for start in range(0, len(images), CHUNK):
        total += images[start : start + CHUNK].sum(axis=0, dtype=np.float64)
    return (total / (len(images) * max_value)).astype(np.float32)
