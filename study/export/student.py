"""A student that takes raw images: its preprocessing is its first layer.

Works on a network and on the preprocessing of a study's data. Knows nothing of studies, files or MLflow.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from study.data.dataset import PixelMean
from study.data.lcn import FLOOR, window_matrix
from study.distill.denormals import flushed_denormals


class Preprocessing(nn.Module):
    """Turns raw pixels into a network's input: division, local contrast normalisation, pixel mean.

    It computes the same as `study.data`, in the same order.

    Args:
        max_value: the value of a white pixel; pixels are divided by it.
        side: (height, width) of an image for local contrast normalisation; None: no normalisation.
        pixel_mean: (C, H, W), subtracted last; None: nothing is subtracted.
    """

    def __init__(
        self, max_value: float, side: tuple[int, int] | None = None, pixel_mean: PixelMean | None = None
    ) -> None:
        super().__init__()
        self.max_value = max_value
        down, across = (None, None) if side is None else (window_matrix(side[0]), window_matrix(side[1]).T)
        # Buffers move to a device with the module. They are not weights, so they are not in the state dictionary.
        self._down: Tensor | None
        self._across: Tensor | None
        self._pixel_mean: Tensor | None
        self.register_buffer("_down", _tensor(down), persistent=False)
        self.register_buffer("_across", _tensor(across), persistent=False)
        self.register_buffer("_pixel_mean", _tensor(pixel_mean), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) of any number type to float32 (N, C, H, W)."""
        x = images.to(torch.float32) / self.max_value
        if self._down is not None and self._across is not None:
            x = x - x[:, :1, :1, :1]
            v = x - self._down @ x.mean(dim=1, keepdim=True) @ self._across
            sigma = (self._down @ v.square().mean(dim=1, keepdim=True) @ self._across).sqrt()
            floor = sigma.mean(dim=(2, 3), keepdim=True).clamp(min=FLOOR)
            x = v / torch.maximum(floor, sigma)
        if self._pixel_mean is not None:
            x = x - self._pixel_mean
        return x


class Student(nn.Module):
    """A trained network with its preprocessing.

    Attributes:
        preprocessing: raw pixels to the network's input.
        network: the network as it was trained, (N, C, H, W) float32 to logits.
    """

    def __init__(self, preprocessing: Preprocessing, network: nn.Module) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Raw images (N, C, H, W), uint8, to logits (N, classes), float32.

        Raises:
            TypeError: the images are not uint8. Images that are already scaled would be scaled twice.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"a student takes raw images as torch.uint8, as they are stored, not {images.dtype}")
        logits: Tensor = self.network(self.preprocessing(images))
        return logits


class WithProbabilities(nn.Module):
    """A student that returns (logits, class probabilities), both (N, classes), as an exported file does."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.student(images)
        return logits, logits.softmax(dim=1)


class Probabilities(nn.Module):
    """A student that returns only class probabilities (N, classes), as a model server does."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = self.student(images).softmax(dim=1)
        return probabilities


@flushed_denormals()
def logits_on(student: nn.Module, images: npt.NDArray[np.uint8], block: int = 500) -> npt.NDArray[np.float32]:
    """A student's logits (N, classes) for raw images (N, C, H, W), computed in batches of `block`."""
    with torch.inference_mode():
        parts = [student(torch.from_numpy(images[start : start + block])) for start in range(0, len(images), block)]
    logits: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def _tensor(array: npt.NDArray[np.float32] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))
