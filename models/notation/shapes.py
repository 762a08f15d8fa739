"""Computes the shapes and sizes of a network's layers without building the network.

Works on layers and the shape of one image. Knows nothing of PyTorch.
"""

import math
from collections.abc import Sequence

from models.notation.layers import (
    MAX_NUMBER,
    MAX_PARAMETERS,
    MAX_VALUES,
    Conv,
    Dropout,
    Layer,
    Linear,
    NotationError,
    Pool,
    Shape,
    classifier_of,
    error_at,
    times,
)


def shapes(layers: Sequence[Layer], input_shape: Shape) -> tuple[Shape, ...]:
    """The output shape of every layer for one image of `input_shape`, (C, H, W) or (N,).

    A fully connected layer flattens its input. Raises `NotationError` if a layer does not fit the output of the layer
    before it, if the output is not one value for each class, or if the network is too large.
    """
    check_input_shape(input_shape)
    results: list[Shape] = []
    shape = tuple(input_shape)
    total = 0
    for layer in layers:
        after = _output_shape(layer, shape)
        if math.prod(after) > MAX_VALUES:
            raise error_at(layer, f"gives {times(after)} values for one image; at most {MAX_VALUES} are allowed")
        total += parameters(layer, shape)
        if total > MAX_PARAMETERS:
            raise error_at(
                layer,
                f"brings the network to {total} parameters on an input of {times(input_shape)}; "
                f"at most {MAX_PARAMETERS} are allowed",
            )
        results.append(after)
        shape = after
    _, classifier = classifier_of(layers)
    if math.prod(shape) != shape[0]:
        raise error_at(
            layers[-1],
            f"the network ends in {times(shape)} on an input of {times(input_shape)}; "
            f"expected one value for each of the {shape[0]} classes of {classifier}",
        )
    return tuple(results)


def parameters(layer: Layer, input_shape: Shape) -> int:
    """The trainable parameters of one layer with this input: weights, biases, batch normalisation."""
    match layer:
        case Conv():
            weights = layer.kernel**2 * input_shape[0] * layer.channels
            return weights + layer.channels * (3 if layer.batch_norm else 1)
        case Linear():
            return math.prod(input_shape) * layer.features + layer.features
        case _:
            return 0


def check_input_shape(input_shape: Shape) -> None:
    """Raise `NotationError` unless this is (C, H, W) or (N,) with every size from 1 to `MAX_NUMBER`."""
    if len(input_shape) not in (1, 3) or not all(1 <= size <= MAX_NUMBER for size in input_shape):
        raise NotationError(
            f"an input of shape {tuple(input_shape)}; expected (channels, height, width) or (features,), "
            f"each from 1 to {MAX_NUMBER}"
        )


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Linear():
            return (layer.features,)
        case Dropout():
            return shape
    if len(shape) != 3:
        raise error_at(layer, f"expected feature maps as input, found {shape[0]} flat features")
    channels, *sides = shape
    if isinstance(layer, Conv):
        channels = layer.channels
        after = [(side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in sides]
    else:
        after = [_pooled_side(side, layer) for side in sides]
    if min(after) < 1:
        padded = " with its padding" if isinstance(layer, Conv) and layer.padding else ""
        raise error_at(layer, f"gives no output for {times(shape)}: the kernel is larger than its input{padded}")
    return (channels, *after)


def _pooled_side(side: int, layer: Pool) -> int:
    """PyTorch's ceil mode: round up, then drop a last window that would start outside the input."""
    after = (side - layer.kernel + layer.stride - 1) // layer.stride + 1
    return after - 1 if (after - 1) * layer.stride >= side else after
