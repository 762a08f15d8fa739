"""The notation, which describes a network in one line of text: layers, parser, shapes, and the PyTorch module.

`[C5(S1P2)@64-MP2(S2)]-FC1024-FC10` is such a line. `parser` has the grammar.
"""

from models.notation.builder import build, layer_names
from models.notation.layers import (
    MAX_LAYERS,
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
    number_of_classes,
    shown,
    with_dropout,
)
from models.notation.parser import format_network, parse
from models.notation.shapes import check_input_shape, parameters, shapes

__all__ = [
    "MAX_LAYERS",
    "MAX_NUMBER",
    "MAX_PARAMETERS",
    "MAX_VALUES",
    "Conv",
    "Dropout",
    "Layer",
    "Linear",
    "NotationError",
    "Pool",
    "Shape",
    "build",
    "check_input_shape",
    "format_network",
    "layer_names",
    "number_of_classes",
    "parameters",
    "parse",
    "shapes",
    "shown",
    "with_dropout",
]
