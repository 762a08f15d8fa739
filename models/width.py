"""Wider and narrower versions of a network: the same line of notation with other widths of its hidden layers.

Works on references, those of the zoo and lines alike. Knows nothing of PyTorch or of searches.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from models import notation, zoo
from models.notation import MAX_NUMBER, Conv, Layer, Linear, NotationError, shown


def hidden_layers(reference: str) -> tuple[str, ...]:
    """The names (`conv1`, `fc1`) of the layers that have a width to choose, first layer first.

    Those are the convolutions and the fully connected layers, but for the last of them, whose width is the number of
    classes. Raises `NotationError` for a network that cannot be, or that no line can say.
    """
    layers = _layers(reference)
    names = zip(layers, notation.layer_names(layers), strict=True)
    return tuple(name for layer, name in names if isinstance(layer, Conv | Linear))[:-1]


def widen(reference: str, multipliers: Mapping[str, float]) -> str:
    """The network with some hidden layers wider or narrower.

    Args:
        reference: a name of the zoo or a line.
        multipliers: by what to multiply the channels or features of a layer, above 0, by its name; layers that are
            not in it stay as they are.

    Returns:
        a line, with widths rounded to whole numbers, and 1 at least; the reference itself where no width changes, so
        that a network keeps its name.

    Raises `NotationError` for a network that cannot be, or that no line can say, for a name that is none of
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
        raise NotationError(f"network {shown(reference)} is no line of notation, whose widths could be changed")
    return notation.parse(line)


def _widened(layer: Layer, name: str, multiplier: float) -> Layer:
    if not 0 < multiplier < math.inf:
        raise NotationError(f"layer {name}: a width can be multiplied by a number above 0, not by {multiplier}")
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
