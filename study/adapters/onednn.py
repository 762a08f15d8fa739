"""Large fully connected layers, multiplied by oneDNN where that is faster.

Works on the `nn.Linear` modules of a network that trains in single precision on a CPU. Knows nothing of trainings, nor
of where oneDNN is the faster (`study.distill.processor`). PyTorch leaves such products to MKL, which does half of what
AMD's processors can (docs/performance.md); oneDNN, which is part of PyTorch too and does its convolutions, does all.
Results differ in the last bits.
"""

from collections.abc import Iterator
from types import MethodType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST_WEIGHTS = 100_000
"""Smaller layers gain nothing: what a function of our own costs in Python is more."""


def multiply_with_onednn(network: nn.Module) -> None:
    """Have the large fully connected layers of a network trained by oneDNN; without gradients nothing changes."""
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
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        (gradient,), (inputs, weight) = gradients, context.saved_tensors
        of_inputs = _product(gradient, weight.t()) if context.needs_input_grad[0] else None
        of_bias = gradient.sum(dim=0) if context.needs_input_grad[2] else None
        return of_inputs, _product(gradient.t(), inputs.t()), of_bias


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], ""))
