"""A student that takes pictures as they are: its preprocessing is its first layer.

Works on a network and on what a study's data section does to a pixel. Knows nothing of studies, files or MLflow.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from study.data.dataset import PixelMean
from study.data.lcn import FLOOR, window_matrix
from study.distill.denormals import flushed_denormals


class Preprocessing(nn.Module):
    """Raw pixels to a network's input: division, local contrast normalisation, pixel mean; each only where it is.

    The same arithmetic as `study.data` does in memory, in the same order.

    Args:
        max_value: the value of a white pixel, which pixels are divided by.
        side: (height, width) of an image where its local contrast is normalised; None where it is not.
        pixel_mean: (C, H, W), subtracted last; None where nothing is.
    """

    def __init__(
        self, max_value: float, side: tuple[int, int] | None = None, pixel_mean: PixelMean | None = None
    ) -> None:
        super().__init__()
        self.max_value = max_value
        down, across = (None, None) if side is None else (window_matrix(side[0]), window_matrix(side[1]).T)
        # Buffers, so that they travel with the module, and none of the state dictionary: they are no weights.
        self._down: Tensor | None
        self._across: Tensor | None
        self._pixel_mean: Tensor | None
        self.register_buffer("_down", _tensor(down), persistent=False)
        self.register_buffer("_across", _tensor(across), persistent=False)
        self.register_buffer("_pixel_mean", _tensor(pixel_mean), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) of any type of number to float32 (N, C, H, W)."""
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
    """A trained network behind its preprocessing.

    Attributes:
        preprocessing: raw pixels to the network's input.
        network: the network as it was trained, (N, C, H, W) float32 to logits.
    """

    def __init__(self, preprocessing: Preprocessing, network: nn.Module) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Raw images (N, C, H, W), uint8, to logits (N, classes), float32."""
        logits: Tensor = self.network(self.preprocessing(images))
        return logits


class WithProbabilities(nn.Module):
    """A student whose answer is (logits, class probabilities), both (N, classes): what an exported file gives."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.student(images)
        return logits, logits.softmax(dim=1)


class Probabilities(nn.Module):
    """A student whose answer is its class probabilities (N, classes) alone: what a server gives."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = self.student(images).softmax(dim=1)
        return probabilities


@flushed_denormals()
def logits_on(student: nn.Module, images: npt.NDArray[np.uint8], block: int = 500) -> npt.NDArray[np.float32]:
    """A student's logits (N, classes) for raw images (N, C, H, W), `block` at a time."""
    with torch.inference_mode():
        parts = [student(torch.from_numpy(images[start : start + block])) for start in range(0, len(images), block)]
    logits: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def _tensor(array: npt.NDArray[np.float32] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))
