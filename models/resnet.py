"""The CIFAR residual networks of He et al., "Deep Residual Learning for Image Recognition" (2016), section 4.2.

One 3x3 convolution, then three stages of n blocks of two 3x3 convolutions with 16, 32 and 64 channels, global
average pooling, and a fully connected layer: 6n + 2 weight layers. Shortcuts are the paper's option A and have
no parameters: where a stage halves the image and doubles the channels, the shortcut takes every second pixel
and fills the new channels with zeros.

Weights have PyTorch's default initialisation, as for every other network here, and not the paper's. Batch
normalisation follows every convolution, so the scale of its weights does not change the output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CifarResNet(nn.Module):
    """Maps images (batch, in_channels, H, W) to logits (batch, classes). `depth` is 6n + 2 for some n >= 1."""

    def __init__(self, depth: int, in_channels: int, classes: int) -> None:
        super().__init__()
        blocks, remainder = divmod(depth - 2, 6)
        if blocks < 1 or remainder:
            raise ValueError(f"a CIFAR ResNet of depth {depth}; expected 6n + 2: 8, 14, 20, ...")
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.stage1 = _stage(16, 16, blocks, stride=1)
        self.stage2 = _stage(16, 32, blocks, stride=2)
        self.stage3 = _stage(32, 64, blocks, stride=2)
        self.fc = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.norm(self.conv(images)))
        features = self.stage3(self.stage2(self.stage1(features)))
        logits: Tensor = self.fc(torch.mean(features, dim=(2, 3)))
        return logits


class _Block(nn.Module):
    """Two convolutions and an option-A shortcut around them."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - in_channels

    def forward(self, features: Tensor) -> Tensor:
        residual = functional.relu(self.norm1(self.conv1(features)))
        residual = self.norm2(self.conv2(residual))
        shortcut = features[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return functional.relu(residual + shortcut)


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Block(in_channels, channels, stride)
    return nn.Sequential(first, *(_Block(channels, channels, 1) for _ in range(blocks - 1)))
