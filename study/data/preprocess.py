"""The order and the statistics of the training images, for preprocessing.

Works on arrays, row by row or chunk by chunk, so that no copy of a data set is made.
"""

import numpy as np
import numpy.typing as npt

from study.data.dataset import PixelMean, Pixels

CHUNK = 4096


def mean_image(images: Pixels, max_value: float) -> PixelMean:
    """Per-pixel mean, (C, H, W) float32, of images (N, C, H, W) divided by `max_value`; summed in float64."""
    total = np.zeros(images.shape[1:], dtype=np.float64)
    for start in range(0, len(images), CHUNK):
        total += images[start : start + CHUNK].sum(axis=0, dtype=np.float64)
    return (total / (len(images) * max_value)).astype(np.float32)


def in_order(images: Pixels, order: npt.NDArray[np.int64]) -> Pixels:
    """`images[order]` as the first rows of `images`, whose rows are moved. If `images` is read-only, it is a copy.

    Args:
        images: (N, C, H, W). Its rows are in another order afterwards.
        order: (M,), each position at most once.
    """
    if not images.flags.writeable:
        return images[order]
    left = np.ones(len(images), dtype=bool)
    left[order] = False
    taken_from = np.concatenate([order, np.flatnonzero(left)]).tolist()  # the row that moves to each position
    for start in range(len(images)):
        if taken_from[start] == start:
            continue
        first, at = images[start].copy(), start
        while (origin := taken_from[at]) != start:
            images[at] = images[origin]
            taken_from[at] = at
            at = origin
        images[at] = first
        taken_from[at] = at
    return images[: len(order)]
