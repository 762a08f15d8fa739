"""Random labels for a share of the training images.

Works on labels in memory. Knows nothing of images or of a training.
"""

import torch
from torch import Tensor

from study.distill.streams import derived


def with_random_labels(labels: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """The labels, with a share of them replaced by random labels.

    A random label is any class with equal probability. It can be the right class, so a share s makes s·(1 − 1/classes)
    of the labels wrong. One generator chooses the images and another draws the labels. So a larger share changes the
    same images, and additional ones.

    Args:
        labels: the labels of the training images and their mirror images, (images,) int64. An image and its mirror
            image count as two.
        share: in [0, 1].
        classes: the number of classes.
        seed: the seed of the training.

    Returns:
        (images,) int64 on the same device.
    """
    chosen, drawn = (
        torch.Generator().manual_seed(derived(seed, purpose)) for purpose in ("label noise selection", "label noise")
    )
    selected = torch.rand(len(labels), generator=chosen) < share
    other = torch.randint(classes, (len(labels),), generator=drawn)
    return torch.where(selected.to(labels.device), other.to(labels.device), labels)
