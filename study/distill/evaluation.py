"""What a network answers for images: how many it misclassifies, and which classes it predicts.

Works on networks and images in memory, in fp32 as in exported files, without noise and without dropout.
"""

import torch
from torch import nn

from study.data.tensors import ImageTensors
from study.distill.denormals import flushed_denormals
from study.distill.precision import fp32_products

EVALUATION_BLOCK, EVALUATION_BLOCK_ON_CPU = 1000, 100
"""Images in a forward pass without gradients. On a CPU more images are not faster, and need more memory."""


@flushed_denormals()
@fp32_products()
def error_of(network: nn.Module, images: ImageTensors) -> float:
    """The share of misclassified images, without noise and without dropout, in fp32 as in exported files."""
    network.eval()
    block = EVALUATION_BLOCK_ON_CPU if images.device.type == "cpu" else EVALUATION_BLOCK
    wrong = torch.zeros((), dtype=torch.int64, device=images.device)
    with torch.inference_mode():
        for batch, labels in images.blocks(block):
            wrong += (network(batch).argmax(dim=1) != labels).sum()
    return int(wrong) / len(images)


@flushed_denormals()
@fp32_products()
def predicted_classes_of(network: nn.Module, images: ImageTensors) -> int:
    """How many different classes a network predicts for images, without noise and without dropout.

    A network that predicts one class for every image has collapsed: its loss is finite, but it has learned nothing.
    """
    network.eval()
    block = EVALUATION_BLOCK_ON_CPU if images.device.type == "cpu" else EVALUATION_BLOCK
    with torch.inference_mode():
        predicted = [network(batch).argmax(dim=1) for batch, _ in images.blocks(block)]
    return len(set(torch.cat(predicted).tolist()))
