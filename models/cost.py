"""The cost of a network (multiplications of one forward pass, parameters, bytes), and the ratio of two costs.

*Multiplications* are the multiply operations that convolutions and fully connected layers do for one image. Sau &
Balasubramanian, "Deep Model Compression: Distilling Knowledge from Noisy Teachers" (2016), section 4, count in the same
way. Biases, normalisation, pooling and the products inside attention are not counted. For a network of the user it is
every product that PyTorch's flop counter knows, those of attention too, because the code need not have layers.
*Parameters* are all trainable parameters, and *bytes* is their size in single precision. Running statistics of batch
normalisation are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models import notation, own_code, own_network, zoo
from models.notation import Conv, Layer, Linear, NotationError, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn

_BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class LayerCost:
    """One layer, or one module that has parameters or multiplies."""

    name: str
    """The name of its module, as in the state dictionary."""
    token: str
    """The layer in notation; the name of its class if there is no notation for it."""
    output_shape: Shape
    parameters: int
    multiplications: int

    def as_json(self) -> dict[str, str | int | list[int]]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "layer": self.token,
            "output_shape": list(self.output_shape),
            "parameters": self.parameters,
            "multiplications": self.multiplications,
        }


@dataclass(frozen=True)
class NetworkCost:
    """The layers in the order in which they run, and the sums over all layers."""

    layers: tuple[LayerCost, ...]
    multiplications: int
    parameters: int
    bytes: int


def network_cost(reference: str, input_shape: Shape | None = None, classes: int | None = None) -> NetworkCost:
    """The cost of a network of the zoo, of a line of notation, or of a network of the user.

    `input_shape` and `classes` default to those for which the network was published. Raises `NotationError` if the
    network is impossible, or if a line is given without an input shape.
    """
    network = zoo.get(reference)
    input_shape = network.input_shape if input_shape is None else input_shape
    classes = network.classes if classes is None else classes
    if input_shape is None or classes is None:
        raise NotationError(f"the cost of {notation.shown(reference)} depends on its input; give the shape of an image")
    if network.notation is not None and classes == network.classes:
        return _line_cost(notation.parse(network.notation), input_shape)
    if own_code.is_own(reference):
        counted = own_network.tried(reference, input_shape, classes)
        return _sum([LayerCost(*layer) for layer in counted.layers], counted.parameters)
    import torch  # the cost of a line needs no PyTorch

    with torch.random.fork_rng(devices=[]):  # counting must not change the caller's generator
        return module_cost(zoo.build(reference, input_shape, classes), input_shape)


def module_cost(module: nn.Module, input_shape: Shape) -> NetworkCost:
    """The cost of any module that takes images `(batch, *input_shape)`, from a forward pass that needs no memory.

    The pass runs on a copy, so the module, its mode and its hooks do not change.
    """
    import torch

    from models.products import LAYER_PRODUCTS, meta_copy

    # With gradients PyTorch uses no fused kernels, whose multiplications could not be counted by layer.
    return _counted(meta_copy(module), torch.empty(1, *input_shape, device="meta"), LAYER_PRODUCTS)


def cost_of_products(module: nn.Module, image: Tensor) -> NetworkCost:
    """The cost of a network of the user: every product that PyTorch's flop counter knows.

    The forward pass is a real one, in evaluation mode, because code of the user may make tensors of its own.

    Args:
        module: the network.
        image: one image, `(1, *input_shape)`.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from models.products import ALL_PRODUCTS

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of CPUs are not counted
        return _counted(module.eval(), image, ALL_PRODUCTS)


def _counted(module: nn.Module, image: Tensor, operators: Collection[Any]) -> NetworkCost:
    import torch

    from models.products import ProductCounter

    with torch.enable_grad(), ProductCounter(module, operators) as counter:
        module(image)
    parts = dict(module.named_modules())
    rows = []
    for name in counter.output_shapes | dict.fromkeys(parts, ()):
        multiplications = counter.multiplications[name]
        parameters = sum(parameter.numel() for parameter in parts[name].parameters(recurse=False))
        if multiplications or parameters:
            output_shape = counter.output_shapes.get(name, ())
            rows.append(LayerCost(name, _token(parts[name]), output_shape, parameters, multiplications))
    return _sum(rows, sum(parameter.numel() for parameter in module.parameters()))


def compression_ratio(teacher: NetworkCost, student: NetworkCost) -> float:
    """The multiplications of the teacher divided by those of the student."""
    return teacher.multiplications / student.multiplications


def _line_cost(layers: tuple[Layer, ...], input_shape: Shape) -> NetworkCost:
    outputs = notation.shapes(layers, input_shape)
    inputs = (tuple(input_shape), *outputs[:-1])
    rows = tuple(
        LayerCost(name, str(layer), after, notation.parameters(layer, before), _multiplications(layer, before, after))
        for layer, name, before, after in zip(layers, notation.layer_names(layers), inputs, outputs, strict=True)
    )
    return _sum(rows, sum(row.parameters for row in rows))


def _sum(rows: Sequence[LayerCost], parameters: int) -> NetworkCost:
    # The sum of the parameters is an argument, because two modules may share a tensor.
    multiplications = sum(row.multiplications for row in rows)
    return NetworkCost(tuple(rows), multiplications, parameters, parameters * _BYTES_PER_PARAMETER)


def _multiplications(layer: Layer, before: Shape, after: Shape) -> int:
    match layer:
        case Conv():
            return layer.kernel**2 * before[0] * math.prod(after)
        case Linear():
            return math.prod(before) * layer.features
        case _:
            return 0


def _token(module: nn.Module) -> str:
    """A module in notation, or the name of its class if there is no notation for it."""
    from torch import nn

    if isinstance(module, nn.Linear):
        return str(Linear(module.out_features))
    if isinstance(module, nn.Conv2d) and module.groups == 1 and module.dilation == (1, 1):
        kernel, stride, padding = set(module.kernel_size), set(module.stride), module.padding
        if len(kernel) == len(stride) == len(set(padding)) == 1 and not isinstance(padding, str):
            return str(Conv(kernel.pop(), stride.pop(), padding[0], module.out_channels))
    return type(module).__name__
