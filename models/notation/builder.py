"""Builds the PyTorch module of a line of notation.

Works on layers and the shape of one image. Imports PyTorch only when a network is built.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from models.notation.layers import Conv, Dropout, Layer, Linear, Pool, Shape, classifier_of
from models.notation.parser import parse
from models.notation.shapes import shapes

if TYPE_CHECKING:
    from torch import nn


def build(network: str | Sequence[Layer], input_shape: Shape) -> nn.Sequential:
    """The module of a line. It maps images (batch, C, H, W) to logits (batch, classes).

    Weights have PyTorch's default initialisation, drawn from torch's global generator. So `torch.manual_seed` fixes
    them. The names in the state dictionary are those of `layer_names`, with `_norm` added for batch normalisation.
    Brackets do not change them. Raises `NotationError` if the line is not a network, or does not fit this input.
    """
    from torch import nn  # here, so that reading and checking a line does not wait for PyTorch

    layers = parse(network) if isinstance(network, str) else tuple(network)
    outputs = shapes(layers, input_shape)
    inputs = (tuple(input_shape), *outputs[:-1])
    last, _ = classifier_of(layers)
    modules: list[tuple[str, nn.Module]] = []
    for index, (layer, name, shape) in enumerate(zip(layers, layer_names(layers), inputs, strict=True)):
        match layer:
            case Conv():
                convolution = nn.Conv2d(
                    shape[0], layer.channels, layer.kernel, stride=layer.stride, padding=layer.padding
                )
                modules.append((name, convolution))
                if layer.batch_norm:
                    modules.append((f"{name}_norm", nn.BatchNorm2d(layer.channels)))
            case Pool():
                pooling = nn.MaxPool2d if layer.kind == "max" else nn.AvgPool2d
                modules.append((name, pooling(layer.kernel, stride=layer.stride, ceil_mode=True)))
            case Linear():
                if len(shape) == 3:
                    modules.append(("flatten", nn.Flatten()))
                modules.append((name, nn.Linear(math.prod(shape), layer.features)))
            case Dropout():
                modules.append((name, nn.Dropout(layer.probability)))
        if isinstance(layer, Conv | Linear) and index != last:
            modules.append((f"{name}_relu", nn.ReLU()))
    if len(outputs[-1]) == 3:
        modules.append(("flatten", nn.Flatten()))
    for at in range(1, len(modules)):
        # max(ReLU(x)) equals ReLU(max(x)), to the bit and in the gradient. After the pool, ReLU has less work.
        if isinstance(modules[at][1], nn.MaxPool2d) and isinstance(modules[at - 1][1], nn.ReLU):
            modules[at - 1], modules[at] = modules[at], modules[at - 1]
    return nn.Sequential(OrderedDict(modules))


def layer_names(layers: Iterable[Layer]) -> tuple[str, ...]:
    """The name of every layer in the module: its kind and its number among layers of this kind, from 1 (`conv2`)."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for layer in layers:
        match layer:
            case Conv():
                kind = "conv"
            case Pool():
                kind = "pool"
            case Linear():
                kind = "fc"
            case Dropout():
                kind = "dropout"
        seen[kind] += 1
        names.append(f"{kind}{seen[kind]}")
    return tuple(names)
