"""Adam and SGD by PyTorch's fused functions, without the compiler that PyTorch's optimizer classes import.

Works on a network's parameters and a `TrainConfig`. Knows nothing of losses or learning-rate schedules. The classes of
`torch.optim` import `torch._dynamo` in every process that creates one, which takes a second and about 100 MiB in each
trial. The functions that these classes call do not import it.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from study.config import TrainConfig

_BETAS, _EPS = (0.9, 0.999), 1e-8
"""PyTorch's defaults, which are those of the paper on Adam."""


class Optimizer:
    """Updates parameters from their gradients. Results equal those of `torch.optim.Adam` or `SGD` with `fused=True` to
    the bit.

    Args:
        parameters: on the device of the training.
        settings: optimizer, momentum (Nesterov, for SGD) and weight decay.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], settings: TrainConfig) -> None:
        self._parameters = list(parameters)
        self._settings = settings
        self._state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Update every parameter that has a gradient once, with this learning rate: a number, or a tensor of no
        dimension on the device, from which a captured step reads it."""
        indices = [index for index, parameter in enumerate(self._parameters) if parameter.grad is not None]
        parameters: list[Tensor] = [self._parameters[index] for index in indices]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self._settings.optimizer == "sgd":
            self._sgd(indices, parameters, gradients, lr)
        else:
            self._adam(indices, parameters, gradients, lr)

    def _adam(self, indices: list[int], parameters: list[Tensor], gradients: list[Tensor], lr: float | Tensor) -> None:
        for index, parameter in zip(indices, parameters, strict=True):
            if index not in self._state:
                self._state[index] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self._state[index] for index in indices]
        adam(
            parameters,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=lr,
            weight_decay=self._settings.weight_decay,
            eps=_EPS,
            maximize=False,
        )

    def _sgd(self, indices: list[int], parameters: list[Tensor], gradients: list[Tensor], lr: float | Tensor) -> None:
        momentum = self._settings.momentum
        buffers = [self._state.get(index, {}).get("momentum_buffer") for index in indices]
        sgd(
            parameters,
            gradients,
            buffers,
            fused=True,
            weight_decay=self._settings.weight_decay,
            momentum=momentum,
            lr=lr,
            dampening=0.0,
            nesterov=momentum > 0,
            maximize=False,
        )
        if momentum > 0:
            made = zip(indices, buffers, strict=True)
            self._state = {index: {"momentum_buffer": buffer} for index, buffer in made if buffer is not None}

    def state_dict(self) -> dict[str, Any]:
        """The state that the next update depends on, by the parameters' positions. It is not copied."""
        return {"state": self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a copy of what `state_dict` returned for the same parameters, on their device."""
        self._state = {
            index: {name: tensor.to(self._parameters[index].device, copy=True) for name, tensor in of_parameter.items()}
            for index, of_parameter in state["state"].items()
        }
