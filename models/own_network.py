"""Networks of the user: how they are made, and how they are tried before a study uses them.

Works on a reference to code (`models.own_code`), the shape of an image and a number of classes. A network is tried in a
process of its own (`models.own_process`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import own_code, own_process
from models.notation import NotationError, Shape

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Tried:
    """What was found when a network was tried.

    Attributes:
        layers: name, class, output shape, parameters and multiplications of every module that has any of the last two.
        parameters: all trainable parameters.
        smallest_batch: the fewest images that one step of training can take, 1 or 2.
    """

    layers: tuple[tuple[str, str, Shape, int, int], ...]
    parameters: int
    smallest_batch: int


def build(reference: str, input_shape: Shape, classes: int) -> nn.Module:
    """The network that a class or function of the user makes, with fresh weights.

    Parameters named `input_shape`, `classes` and `num_classes` get these values, and others keep their defaults. Two
    parameters without a default may have any name. It gets images whose channels lie outermost in memory, so that it
    may use `view`.

    Raises:
        NotationError: it cannot be imported, is no class or function, or does not make a module.
    """
    import torch
    from torch import nn

    try:
        maker = own_code.load(reference)
    except own_code.OwnCodeError as error:
        raise NotationError(str(error)) from error.__cause__
    if isinstance(maker, nn.Module) or not callable(maker):
        raise NotationError(f"{reference} is not a class or function that makes a network, but {type(maker).__name__}")
    arguments, named = _arguments(reference, maker, tuple(input_shape), classes)
    network = maker(*arguments, **named)
    if not isinstance(network, nn.Module):
        raise NotationError(f"{reference} makes {type(network).__name__}; expected a torch.nn.Module")
    network.register_forward_pre_hook(_contiguous)
    if any(map(nn.parameter.is_lazy, network.parameters())):
        with torch.no_grad():  # lazy modules make their weights in the first forward pass
            network(torch.zeros(2, *input_shape))
    return network


def tried(reference: str, input_shape: Shape, classes: int) -> Tried:
    """Try a network on a batch of two images and on one, in a process of its own.

    Raises:
        NotationError: it raises an error, hangs, gives another shape than (images, classes), or cannot be trained.
    """
    try:
        digest = own_code.located(reference).digest
    except own_code.OwnCodeError as error:
        raise NotationError(str(error)) from None
    return _tried(reference, digest, tuple(input_shape), classes, own_code.copies())


@functools.lru_cache(maxsize=100)
def _tried(reference: str, digest: str, input_shape: Shape, classes: int, copies: Path | None) -> Tried:
    """As `tried`. `digest` and `copies` are arguments, so that code that was changed is tried again."""
    task = {"reference": reference, "input_shape": input_shape, "classes": classes}
    doing = "to be created and called with three images"
    answer = own_process.asked("models.own_network:answer_to", task, reference, doing)
    if "error" in answer:
        raise NotationError(answer["error"])
    layers = tuple((name, token, tuple(shape), *counts) for name, token, shape, *counts in answer["layers"])
    return Tried(layers, answer["parameters"], answer["smallest_batch"])


def answer_to(task: Mapping[str, Any]) -> dict[str, Any]:
    """Try one network in this process; never raises an error of the user's code."""
    reference = task["reference"]
    try:
        return asdict(_try(reference, tuple(task["input_shape"]), task["classes"]))
    except NotationError as error:
        return {"error": str(error)}
    except BaseException as error:  # noqa: BLE001 - code of the user may raise anything
        return {"error": f"{reference}: {own_code.in_words(error, own_code.located(reference))}"}


def _try(reference: str, input_shape: Shape, classes: int) -> Tried:
    import torch

    from models.cost import cost_of_products

    def made() -> nn.Module:
        torch.manual_seed(0)
        return build(reference, input_shape, classes)

    network, again = made(), made()
    _check_weights(reference, network, again)
    torch.manual_seed(1)
    images = torch.rand(2, *input_shape)
    logits = network.train()(images)
    _check_logits(reference, logits, 2, classes)
    logits.square().sum().backward()
    if not any(parameter.grad is not None for parameter in network.parameters()):
        raise NotationError(f"{reference}: no weight gets a gradient; expected logits that depend on them")
    network.eval()
    with torch.inference_mode():
        for count in (2, 1):
            _check_logits(reference, network(images[:count]), count, classes)
    try:
        again.train()(images[:1])
        smallest = 1
    except ValueError:  # batch normalisation of one value
        smallest = 2
    counted = cost_of_products(made(), images[:1])
    if not counted.multiplications:
        raise NotationError(f"{reference}: PyTorch's flop counter finds no product in it, so it cannot be compared")
    layers = tuple(
        (each.name, each.token, each.output_shape, each.parameters, each.multiplications) for each in counted.layers
    )
    return Tried(layers, counted.parameters, smallest)


def _check_weights(reference: str, network: nn.Module, again: nn.Module) -> None:
    import torch

    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise NotationError(f"{reference} has no weights that can be trained")
    state, other = network.state_dict(), again.state_dict()
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise NotationError(f"{reference}: {name} of its state_dict is not a tensor, so it cannot be stored")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise NotationError(f"{reference}: {name} is {tensor.dtype}; expected torch.float32")
        if not torch.equal(tensor, other[name]):
            raise NotationError(
                f"{reference}: {name} differs between two networks of one seed; draw initial weights with PyTorch's "
                "own generator (torch.nn.init, torch.randn)"
            )


def _check_logits(reference: str, logits: object, count: int, classes: int) -> None:
    import torch

    images = "1 image" if count == 1 else f"{count} images"
    if not isinstance(logits, torch.Tensor):
        raise NotationError(f"{reference} gives {type(logits).__name__}; expected a tensor of logits")
    if tuple(logits.shape) != (count, classes):
        raise NotationError(
            f"{reference} gives {tuple(logits.shape)} for {images}; expected ({count}, {classes}), the logits of "
            f"{classes} classes"
        )
    if logits.dtype != torch.float32:
        raise NotationError(f"{reference} gives logits as {logits.dtype}; expected torch.float32")
    if not bool(logits.isfinite().all()):
        raise NotationError(f"{reference} gives logits that are not finite numbers, for images from 0 to 1")


def _arguments(reference: str, maker: Any, input_shape: Shape, classes: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a class or function is called with, by place and by name."""
    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return (), {}
    values = {"input_shape": input_shape, "classes": classes, "num_classes": classes}
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    named = {name: values[name] for name, each in parameters.items() if name in values and each.kind in by_name}
    rest = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    needed = [name for name, each in parameters.items() if each.default is Parameter.empty and each.kind not in rest]
    takes_any = any(each.kind is Parameter.VAR_POSITIONAL for each in parameters.values())
    if set(needed) <= named.keys() and (named or not takes_any):
        return (), named
    if len(needed) == 2 or not needed:
        return (input_shape, classes), {}
    raise NotationError(
        f"{reference} needs {', '.join(f'`{name}`' for name in needed)}; expected `input_shape` and `classes`, and a "
        "default for every other parameter"
    )


def _contiguous(_network: nn.Module, images: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(part.contiguous() for part in images)
