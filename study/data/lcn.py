"""Local contrast normalisation of Jarrett et al., *What is the Best Multi-Stage Architecture for Object
Recognition?* (ICCV 2009), section 3.1, as preprocessing.

Works on arrays of images. It writes chunk by chunk into one array of floats, so that a large data set is never in
memory twice in float32. Knows nothing of data sets or splits.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from study.data.dataset import Pixels

WINDOW = 9
STANDARD_DEVIATION = 2.0
FLOOR = 1e-4
CHUNK_PIXELS = 2**18


def local_contrast_normalization(
    images: Pixels,
    indices: npt.NDArray[np.int64],
    max_value: float,
    done: Callable[[int, int], None] = lambda start, end: None,
) -> npt.NDArray[np.float32]:
    """Normalise `images[indices]` over all channels jointly.

    x are the pixels divided by `max_value`. w is the 9×9 Gaussian window of standard deviation 2 over every channel.
    It sums to one over window and channels together. Then v = x − Σ w·x, σ = sqrt(Σ w·v²) and y = v / max(c, σ). c is
    the image's mean of σ, but at least 1e-4. At the border the image is reflected, and its edge pixels are repeated
    (SciPy's mode `reflect`).

    Args:
        images: (N, C, H, W).
        indices: (M,), the positions of the images to normalise, in the order of the result.
        max_value: the value of a white pixel.
        done: is called when a range of the result, from start to before end, is finished.

    Returns:
        (M, C, H, W) float32.
    """
    _, channels, height, width = images.shape
    down, across = window_matrix(height), window_matrix(width).T
    result = np.empty((len(indices), channels, height, width), dtype=np.float32)
    chunk = max(1, CHUNK_PIXELS // (channels * height * width))
    for start in range(0, len(indices), chunk):
        x = images[indices[start : start + chunk]].astype(np.float32)
        x /= max_value
        x -= x[:, :1, :1, :1]  # does not change v; makes a constant image exactly zero, without rounding errors
        v = x - down @ x.mean(axis=1, keepdims=True) @ across
        sigma = np.sqrt(down @ np.square(v).mean(axis=1, keepdims=True) @ across)
        c = np.maximum(sigma.mean(axis=(2, 3), keepdims=True), FLOOR)
        np.divide(v, np.maximum(c, sigma), out=result[start : start + chunk])
        done(start, min(start + chunk, len(indices)))
    return result


def window_matrix(size: int) -> npt.NDArray[np.float32]:
    """(size, size): row i has the weights of the one-dimensional window around pixel i.

    The weight of a reflected pixel is added to the weight of the pixel that it repeats. The two-dimensional window is
    a pass over rows followed by a pass over columns, and each pass is a product with this matrix.
    """
    reach = WINDOW // 2
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / STANDARD_DEVIATION) ** 2)
    weights /= weights.sum()
    reflected = np.pad(np.eye(size), ((reach, reach), (0, 0)), mode="symmetric")
    rows = [weights @ reflected[position : position + WINDOW] for position in range(size)]
    return np.stack(rows).astype(np.float32)
