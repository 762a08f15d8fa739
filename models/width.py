"""Wider and narrower versions of a network: the same line of notation with other widths of its hidden layers.

Works on names of the zoo and on lines of notation. Knows nothing of PyTorch or of searches.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from models import notation, zoo
from models.notation import MAX_NUMBER, Conv, Layer, Linear, NotationError, shown


def hidden_layers(reference: str) -> tuple[str, ...]:
    """The names (`conv1`, `fc1`) of the layers whose width can be chosen, in their order.

    These are the convolutions and the fully connected layers without the last of them, whose width is the number of
    classes. Raises `NotationError` for a network that is impossible or has no line of notation.
    """
    layers = _layers(reference)
    names = zip(layers, notation.layer_names(layers), strict=True)
    return tuple(name for layer, name in names if isinstance(layer, Conv | Linear))[:-1]


def widen(reference: str, multipliers: Mapping[str, float]) -> str:
    """The network with some hidden layers wider or narrower.

    Args:
        reference: a name of the zoo or a line.
        multipliers: the factor for the channels or features of a layer, above 0, by the layer's name. Other layers do
            not change.

    Returns:
        a line. Widths are rounded to whole numbers, and are at least 1. If no width changes, the reference itself is
        returned, so that the network keeps its name.

    Raises `NotationError` for a network that is impossible or has no line of notation, for a name that is not in
    `hidden_layers`, for a multiplier that is not above 0, and for a width above `notation.MAX_NUMBER`.
    """
    layers = _layers(reference)
    known = hidden_layers(reference)
    for name in multipliers:
        if name not in known:
            raise NotationError(
                f"network {shown(reference)} has no hidden layer {shown(name)}; it has {', '.join(known) or 'none'}"
            )
    names = zip(layers, notation.layer_names(layers), strict=True)
    widened = tuple(_widened(layer, name, multipliers.get(name, 1.0)) for layer, name in names)
    return reference if widened == layers else notation.format_network(widened)


def _layers(reference: str) -> tuple[Layer, ...]:
    line = zoo.get(reference).notation
    if line is None:
        raise NotationError(f"network {shown(reference)} has no line of notation, so its widths cannot be changed")
    return notation.parse(line)


def _widened(layer: Layer, name: str, multiplier: float) -> Layer:
    if not 0 < multiplier < math.inf:
        raise NotationError(f"layer {name}: expected a multiplier above 0, not {multiplier}")
    match layer:
        case Conv():
            return replace(layer, channels=_width(layer.channels, name, multiplier))
        case Linear():
            return replace(layer, features=_width(layer.features, name, multiplier))
        case _:
            return layer


def _width(width: int, name: str, multiplier: float) -> int:
    widened = width * multiplier
    if widened > MAX_NUMBER:
        raise NotationError(f"layer {name}: {width} times {multiplier:g} is wider than {MAX_NUMBER}")
    return max(1, round(widened))
