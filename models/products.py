"""Counts the multiplications of each module in a forward pass, and records output shapes. Knows no network by name.

It counts the calls of PyTorch's operators, and not of modules, because attention uses the weights of its projections
without calling the modules that have them.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

LAYER_PRODUCTS = (torch.ops.aten.convolution, torch.ops.aten.mm, torch.ops.aten.addmm)
"""The operators of convolutions and fully connected layers."""

ALL_PRODUCTS = tuple(flop_registry)
"""Every operator that PyTorch's flop counter (`torch.utils.flop_counter.FlopCounterMode`) counts."""


def meta_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode. Its weights have shapes and take gradients, but need no memory."""
    # The memo of deepcopy already has tensors without memory, so the weights are never in memory twice.
    done: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    done |= {id(weight): nn.Parameter(weight.detach().to("meta")) for weight in module.parameters()}
    return copy.deepcopy(module, done).eval()


class ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that counts the multiplications of some operators inside `module`.

    Args:
        module: the network.
        operators: those that are counted, by default those of convolutions and fully connected layers.

    Attributes:
        multiplications: for the whole batch, by the name of the innermost module that ran them.
        output_shapes: the shape of the output of every module, without the batch, in the order in which the modules
            ran first.
    """

    def __init__(self, module: nn.Module, operators: Collection[Any] = LAYER_PRODUCTS) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operators = operators
        self.multiplications: Counter[str] = Counter()
        self.output_shapes: dict[str, tuple[int, ...]] = {}
        self._module = module
        self._running: list[str] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> ProductCounter:
        for name, part in self._module.named_modules():
            begin, end = self._watch(name)
            self._hooks += [part.register_forward_pre_hook(begin), part.register_forward_hook(end)]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()

    def _watch(self, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        def begin(_module: nn.Module, _arguments: object) -> None:
            self._running.append(name)
            self.output_shapes.setdefault(name, ())

        def end(_module: nn.Module, _arguments: object, output: object) -> None:
            self._running.pop()
            first = output[0] if isinstance(output, tuple) and output else output
            if isinstance(first, Tensor):
                self.output_shapes[name] = tuple(first.shape[1:])

        return begin, end

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        output = operator(*arguments, **(options or {}))
        if operator.overloadpacket in self._operators:
            # The registry counts an addition for every multiplication.
            flops = flop_registry[operator.overloadpacket](*arguments, **(options or {}), out_val=output)
            self.multiplications[self._running[-1]] += flops // 2
        return output
