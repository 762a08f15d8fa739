"""Mini-batches from a data set in memory, without a data loader, worker processes or Python code for each sample.

Works on the arrays of a `Dataset`. They may be shared with other processes and read-only, so nothing here writes into
them. On a CPU the tensors are views of those arrays. `to` copies them to another device once. Knows nothing of
networks or of the order in which images are drawn.
"""

import warnings
from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from study.data.dataset import Dataset


class ImageTensors:
    """The images and labels of one split. Images are preprocessed when they are drawn.

    Indices run from 0 to `len(self) - 1`. With `mirror`, the n images come first and their mirror images follow: index
    n + i gives the horizontal flip of what index i gives (so the mean is subtracted before the flip).
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        max_value: float = 1.0,
        pixel_mean: Tensor | None = None,
        mirror: bool = False,
    ) -> None:
        """
        Args:
            images: (N, C, H, W), uint8 or float32; they are only read.
            labels: (N,) int64.
            max_value: what a pixel is divided by.
            pixel_mean: (C, H, W) float32, subtracted after the division.
            mirror: whether indices N to 2N − 1 are mirror images.
        """
        self._images = images
        self._labels = labels
        self._max_value = max_value
        self._mean = pixel_mean
        # Mirror images are flipped as bytes, before the mean is subtracted. So their mean is flipped, too.
        self._means = None if pixel_mean is None else torch.stack([pixel_mean, pixel_mean.flip(2)])
        self._mirror = mirror

    @classmethod
    def of(cls, dataset: Dataset, split: Literal["train", "validation", "test"]) -> Self:
        """The tensors of one split. They share the data set's memory. Only `train` can have mirror images."""
        part = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}[split]
        return cls(
            images=shared_tensor(part.images),
            labels=shared_tensor(part.labels),
            max_value=dataset.max_value,
            pixel_mean=None if dataset.pixel_mean is None else shared_tensor(dataset.pixel_mean),
            mirror=dataset.mirror and split == "train",
        )

    def to(self, device: torch.device | str) -> "ImageTensors":
        """The same images on a device. If they are there already, nothing is copied."""
        return ImageTensors(
            self._images.to(device),
            self._labels.to(device),
            self._max_value,
            None if self._mean is None else self._mean.to(device),
            self._mirror,
        )

    def __len__(self) -> int:
        return 2 * len(self._labels) if self._mirror else len(self._labels)

    @property
    def device(self) -> torch.device:
        return self._images.device

    def batch(self, indices: Tensor) -> Tensor:
        """The images at `indices` (B,), int64, on this device: a new float32 (B, C, H, W), channels last in memory."""
        if not self._mirror:
            return self._preprocess(self._images.index_select(0, indices), None)
        mirrored = indices >= len(self._labels)
        return self._preprocess(self._images.index_select(0, self._stored(indices, mirrored)), mirrored)

    def labels(self, indices: Tensor) -> Tensor:
        """The labels at `indices` (B,), int64."""
        if self._mirror:
            indices = self._stored(indices, indices >= len(self._labels))
        return self._labels.index_select(0, indices)

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(images, labels) of all indices in order, `size` at a time; the last block may be smaller."""
        for start in range(0, len(self), size):
            indices = torch.arange(start, min(start + size, len(self)), device=self.device)
            yield self.batch(indices), self.labels(indices)

    def _stored(self, indices: Tensor, mirrored: Tensor) -> Tensor:
        # This is a subtraction and not a remainder, so that index_select fails for an index past the end.
        return indices - len(self._labels) * mirrored

    def _preprocess(self, images: Tensor, mirrored: Tensor | None) -> Tensor:
        """Float32 pixels, divided, mean subtracted, flipped where `mirrored` (B,) says so.

        Works in place: `images` is a new tensor from index_select, never a view of the stored images.
        """
        if mirrored is not None:
            images = _flip_where(mirrored, images)
        images = images.to(torch.float32)
        if self._max_value != 1.0:
            images.div_(self._max_value)
        if self._means is not None:
            images.sub_(self._means[0] if mirrored is None else self._means.index_select(0, mirrored.long()))
        return images.contiguous(memory_format=torch.channels_last)


def _flip_where(mirrored: Tensor, images: Tensor) -> Tensor:
    """Images (B, C, H, W), flipped horizontally where `mirrored` (B,) says so.

    All images are flipped, as bytes, and then whole images are selected. That is much faster than to select each pixel.
    """
    both = torch.cat([images, images.flip(3)])
    rows = torch.arange(len(images), device=images.device) + len(images) * mirrored
    return both.index_select(0, rows)


def batch_sizes(images: int, size: int, least: int = 1) -> list[int]:
    """How many images each mini-batch of an epoch has, in order.

    Args:
        images: the number of images in the epoch.
        size: the number of images in every mini-batch except the last.
        least: if the last mini-batch has fewer images than this, they are added to the mini-batch before it, if any.
    """
    whole, rest = divmod(images, size)
    if 0 < rest < least and whole:
        return [*[size] * (whole - 1), size + rest]
    return [size] * whole + [rest] * (rest > 0)


def shared_tensor(array: npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> Tensor:
    """A tensor that shares the memory of an array, which may be read-only."""
    with warnings.catch_warnings():
        # torch warns that a tensor over a read-only array could be written to. These tensors are only read.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
