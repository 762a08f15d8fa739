"""Large fully connected layers, multiplied by oneDNN where that is faster.

Works on the `nn.Linear` modules of a network that trains in single precision on a CPU. Knows nothing of trainings, nor
of where oneDNN is faster (`study.distill.processor`). PyTorch gives such products to MKL, which reaches half of the
speed that AMD's processors have (docs/performance.md). oneDNN is part of PyTorch too and reaches all of it. Results
differ in the last bits.

Written for torch 2.14, whose operator `mkldnn._linear_pointwise` is private. It replaces `F.linear`. With another
version or another signature, the layers are left as they are, so `F.linear` multiplies.
"""

from collections.abc import Iterator
from types import MethodType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.adapters.versions import is_version

WRITTEN_FOR = "2.14"

SIGNATURE = "(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) -> Tensor Y"
"""Of the private operator."""

LEAST_WEIGHTS = 100_000
"""Smaller layers gain nothing: what a function of our own costs in Python is more."""


def can_multiply() -> bool:
    """Whether this PyTorch has oneDNN, with the operator that this adapter was written for."""
    if not is_version(torch.__version__, WRITTEN_FOR):
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return operator is not None and any(SIGNATURE in str(schema) for schema in operator._schemas.values())


def multiply_with_onednn(network: nn.Module) -> None:
    """Have the large fully connected layers of a network trained by oneDNN, where it can be called.

    Without gradients nothing changes.
    """
    if not can_multiply():
        return
    for module in _large_layers(network):
        module.forward = MethodType(_forward, module)  # type: ignore[method-assign]


def has_large_layers(network: nn.Module) -> bool:
    """Whether there is a fully connected layer that oneDNN may multiply."""
    return any(True for _ in _large_layers(network))


def _large_layers(network: nn.Module) -> Iterator[nn.Linear]:
    for module in network.modules():
        if type(module) is nn.Linear and module.weight.numel() >= LEAST_WEIGHTS:
            yield module


def _forward(layer: nn.Linear, inputs: Tensor) -> Tensor:
    if torch.is_grad_enabled() and inputs.dim() == 2:
        return cast(Tensor, _Linear.apply(inputs, layer.weight, layer.bias))
    return F.linear(inputs, layer.weight, layer.bias)


class _Linear(torch.autograd.Function):
    """y = x·Wᵀ + b of (batch, in) inputs, (out, in) weights and (out,) bias or None, with the gradients of each."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(inputs, weight)
        return product(inputs, weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        (gradient,), (inputs, weight) = gradients, context.saved_tensors
        of_inputs = product(gradient, weight.t()) if context.needs_input_grad[0] else None
        of_bias = gradient.sum(dim=0) if context.needs_input_grad[2] else None
        return of_inputs, product(gradient.t(), inputs.t()), of_bias


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·Wᵀ + b by oneDNN, without gradients; call it only where `can_multiply()`.

    Args:
        inputs: (batch, in), float32, on the CPU.
        weight: (out, in).
        bias: (out,).

    Returns:
        (batch, out).
    """
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], ""))
