"""Networks by name: those of the published studies, He et al.'s CIFAR ResNets, and torchvision's classifiers.

A study names a network by a *reference*: a name of this zoo (`lenet-cifar10`), `torchvision:` and the name of a
classification model (`torchvision:resnet18`, with random weights), a line of notation, or code of the user
(`mine.py:SmallNet`, `models.own_network`). A line contains its number of classes. A ResNet, a torchvision model or a
network of the user takes the number of classes of the data set.

Sources of the lines: Sau & Balasubramanian, "Deep Model Compression: Distilling Knowledge from Noisy Teachers"
(2016), section 4; Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant" (2020), the appendix
on plain CNNs (`takd-*`); `digits-*` are this project's own.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models import notation, own_code, own_network
from models.notation import Conv, NotationError, Shape, shown

if TYPE_CHECKING:
    from torch import nn

_DIGITS, _MNIST, _COLOUR, _IMAGENET = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 224, 224)

# fmt: off
_LINES: dict[str, tuple[Shape, str]] = {
    "lenet-mnist": (_MNIST, "[C5(S1P0)@20-MP2(S2)]-[C5(S1P0)@50-MP2(S2)]-FC500-FC10"),
    "fc800": (_MNIST, "FC800-FC800-FC10"),
    "nin": (_COLOUR, "[C5(S1P2)@192-C1(S1P0)@160-C1(S1P0)@96-MP3(S2)]-D0.5-[C5(S1P2)@192-C1(S1P0)@192-C1(S1P0)@192-AP3(S2)]-D0.5-[C3(S1P1)@192-C1(S1P0)@192-C1(S1P0)@10]-AP8(S1)"),  # noqa: E501
    "nin-as-printed": (_COLOUR, "[C5(S1P2)@192-C1(S1P0)@160-C1(S1P0)@96-MP3(S2)]-D0.5-[C5(S1P2)@192-C1(S1P0)@192-C1(S1P0)@192-AP3(S2)]-D0.5-[C3(S1P1)@192-C1(S1P0)@192-C1(S1P0)@192-C1(S1P0)@10]-AP8(S1)"),  # noqa: E501
    "alexnet-cifar10": (_COLOUR, "[C5(S1P2)@96-MP3(S2)]-[C5(S1P2)@256-MP3(S2)]-[C3(S1P1)@384]-[C3(S1P1)@384]-[C3(S1P1)@256-MP3(S2)]-FC2048-D0.5-FC2048-D0.5-FC10"),  # noqa: E501
    "lenet-svhn": (_COLOUR, "[C5(S1P2)@32-MP3(S2)]-[C5(S1P2)@64-MP3(S2)]-FC1024-FC10"),
    "lenet-cifar10": (_COLOUR, "[C5(S1P2)@64-MP2(S2)]-[C5(S1P2)@128-MP2(S2)]-FC1024-FC10"),
    "student1": (_COLOUR, "[C5(S1P2)@64-MP2(S2)]-[C5(S1P2)@112-MP2(S2)]-[C3(S1P1)@128-MP2(S2)]-FC1024-FC10"),
    "student2": (_COLOUR, "[C5(S1P2)@32-MP2(S2)]-[C5(S1P2)@32-MP2(S2)]-[C3(S1P1)@64-MP2(S2)]-FC1024-FC10"),
    "student3": (_COLOUR, "[C5(S1P2)@16-MP2(S2)]-[C5(S1P2)@32-MP2(S2)]-[C3(S1P1)@64-MP2(S2)]-FC1024-FC10"),
    "takd-cnn2": (_COLOUR, "[C3(S1P1)@16B-MP2(S2)]-[C3(S1P1)@16B-MP2(S2)]-FC10"),
    "takd-cnn4": (_COLOUR, "[C3(S1P1)@16B-C3(S1P1)@16B-MP2(S2)]-[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-FC10"),
    "takd-cnn6": (_COLOUR, "[C3(S1P1)@16B-C3(S1P1)@16B-MP2(S2)]-[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-FC10"),  # noqa: E501
    "takd-cnn8": (_COLOUR, "[C3(S1P1)@16B-C3(S1P1)@16B-MP2(S2)]-[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-[C3(S1P1)@128B-C3(S1P1)@128B-MP2(S2)]-FC64-FC10"),  # noqa: E501
    "takd-cnn10": (_COLOUR, "[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-[C3(S1P1)@128B-C3(S1P1)@128B-MP2(S2)]-[C3(S1P1)@256B-C3(S1P1)@256B-C3(S1P1)@256B-C3(S1P1)@256B-MP2(S2)]-FC128-FC10"),  # noqa: E501
    "takd-cnn2-100": (_COLOUR, "[C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@32B-MP2(S2)]-FC100"),
    "takd-cnn4-100": (_COLOUR, "[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-FC100"),
    "takd-cnn6-100": (_COLOUR, "[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-[C3(S1P1)@128B-C3(S1P1)@128B]-FC100"),  # noqa: E501
    "takd-cnn8-100": (_COLOUR, "[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-[C3(S1P1)@128B-C3(S1P1)@128B-MP2(S2)]-[C3(S1P1)@256B-C3(S1P1)@256B-MP2(S2)]-FC64-FC100"),  # noqa: E501
    "takd-cnn10-100": (_COLOUR, "[C3(S1P1)@32B-C3(S1P1)@32B-MP2(S2)]-[C3(S1P1)@64B-C3(S1P1)@64B-MP2(S2)]-[C3(S1P1)@128B-C3(S1P1)@128B-MP2(S2)]-[C3(S1P1)@256B-C3(S1P1)@256B-C3(S1P1)@256B-C3(S1P1)@256B-MP2(S2)]-FC512-FC100"),  # noqa: E501
    "digits-cnn": (_DIGITS, "[C3(S1P1)@32-MP2(S2)]-[C3(S1P1)@64-MP2(S2)]-FC128-FC10"),
    "digits-fc32": (_DIGITS, "FC32-FC10"),
}
# fmt: on

_RESNETS = {f"resnet{depth}": depth for depth in (8, 14, 20, 26, 32, 44, 56, 110)}
_TORCHVISION = "torchvision:"
_LOOKS_LIKE_A_LINE = re.compile(r"(C|MP|AP|FC|D)[0-9]|.*[\[\](@]", re.DOTALL)


@dataclass(frozen=True)
class Network:
    """The network that a reference names."""

    name: str
    """The reference itself."""
    notation: str | None
    """Its line; None for a network without a line of notation."""
    input_shape: Shape | None
    """The shape of the images for which it was published; None for a line or a network of the user."""
    classes: int | None
    """Its number of classes. For a network without a line it is only the number for which it was published; None for a
    network of the user."""


def names() -> tuple[str, ...]:
    """Every name of the zoo, without torchvision's."""
    return (*_LINES, *_RESNETS)


def get(reference: str) -> Network:
    """Look a reference up.

    Raises `NotationError` for a name that does not exist (the message has the nearest name that exists) and for a line
    that cannot be read. `build` and `notation.shapes` check whether a line fits its input.
    """
    if reference in _LINES:
        input_shape, line = _LINES[reference]
        return Network(reference, line, input_shape, notation.number_of_classes(notation.parse(line)))
    if reference in _RESNETS:
        return Network(reference, None, _COLOUR, 10)
    if reference.startswith(_TORCHVISION):
        known = _torchvision_names()
        if reference not in known:
            raise _unknown(reference, known)
        return Network(reference, None, _IMAGENET, 1000)
    if own_code.is_own(reference):
        try:
            own_code.located(reference)
        except own_code.OwnCodeError as error:
            raise NotationError(str(error)) from None
        return Network(reference, None, None, None)
    if _LOOKS_LIKE_A_LINE.match(reference):
        return Network(reference, reference, None, notation.number_of_classes(notation.parse(reference)))
    raise _unknown(reference, names())


def build(reference: str, input_shape: Shape, classes: int) -> nn.Module:
    """The network as a module with fresh weights: images (batch, *input_shape) to logits (batch, classes).

    Weights have PyTorch's (or torchvision's) default initialisation, drawn from torch's global generator.
    Raises `NotationError` if the reference is unknown, its line gives another number of classes, or the network does
    not take such images.
    """
    network = get(reference)
    notation.check_input_shape(input_shape)
    if not 1 <= classes <= notation.MAX_NUMBER:
        raise NotationError(f"{classes} classes; expected 1 to {notation.MAX_NUMBER}")
    if network.notation is not None:
        if network.classes != classes:
            raise NotationError(
                f"network {shown(reference)} gives {network.classes} classes, expected {classes}; "
                "use a network whose last layer has as many"
            )
        return notation.build(network.notation, input_shape)
    if own_code.is_own(reference):
        return own_network.build(reference, input_shape, classes)
    if len(input_shape) != 3:
        raise NotationError(f"network {shown(reference)} takes (channels, height, width), not {tuple(input_shape)}")
    if reference in _RESNETS:
        from models.resnet import CifarResNet  # imports PyTorch

        return CifarResNet(_RESNETS[reference], input_shape[0], classes)
    if input_shape[0] != 3:
        raise NotationError(f"network {shown(reference)} takes images of 3 channels, not {input_shape[0]}")
    return _torchvision_model(reference, input_shape, classes)


def weights_file(weights: str) -> Path:
    """The file of given weights: a path as it is; of `torchvision:ENUM.NAME`, the file in the user's cache.

    torchvision's own functions keep what they download in `torch.hub.get_dir()/checkpoints`. This downloads nothing.

    Raises:
        NotationError: torchvision has no such weights.
    """
    if not weights.startswith(_TORCHVISION):
        return Path(weights)
    import torch
    from torchvision import models

    name = weights.removeprefix(_TORCHVISION)
    try:
        url: str = models.get_weight(name).url
    except (ValueError, AttributeError, KeyError, TypeError):
        raise NotationError(
            f"torchvision has no weights {shown(name)}; expected a name such as ResNet18_Weights.IMAGENET1K_V1"
        ) from None
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def with_dropout(reference: str, probability: float) -> str:
    """The network's line with dropout after every hidden fully connected layer. Weights fit both networks.

    Raises `NotationError` if the network has no line, no such layer, or already has dropout there.
    """
    line = get(reference).notation
    if line is None:
        raise NotationError(f"network {shown(reference)} has no line of notation, so `dropout` cannot be added to it")
    return notation.format_network(notation.with_dropout(notation.parse(line), probability))


def smallest_batch(reference: str, input_shape: Shape, classes: int) -> int:
    """The fewest images that one step of training can take: 1, or 2 if batch normalisation needs two.

    Batch normalisation takes the variance of every channel over images and pixels. If the maps have several pixels, one
    image is enough. If a map has one pixel, PyTorch refuses a batch of one image.

    Args:
        reference: a network.
        input_shape: the shape of one image.
        classes: the number of classes.

    Raises `NotationError` as `build` does.
    """
    line = get(reference).notation
    if line is not None:
        layers = notation.parse(line)
        outputs = zip(layers, notation.shapes(layers, input_shape), strict=True)
        alone = [isinstance(layer, Conv) and layer.batch_norm and math.prod(after[1:]) == 1 for layer, after in outputs]
        return 2 if any(alone) else 1
    if own_code.is_own(reference):
        return own_network.tried(reference, input_shape, classes).smallest_batch
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    from models.products import meta_copy

    found: list[bool] = []

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(inputs[0].numel() == inputs[0].shape[1])

    with torch.random.fork_rng(devices=[]):  # this check must not change the caller's generator
        network = meta_copy(build(reference, input_shape, classes))
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(look)
    with torch.no_grad():
        network(torch.empty(1, *input_shape, device="meta"))
    return 2 if any(found) else 1


def _unknown(reference: str, known: tuple[str, ...]) -> NotationError:
    nearest = difflib.get_close_matches(reference[:100].lower(), known, n=1)
    hint = (
        f"did you mean {nearest[0]!r}?"
        if nearest
        else "expected a name of the zoo, a line of notation, or FILE.py:NAME"
    )
    return NotationError(f"no network is called {shown(reference)}; {hint}")


def _torchvision_names() -> tuple[str, ...]:
    from torchvision import models  # slow to import, and few studies need it

    return tuple(f"{_TORCHVISION}{name}" for name in models.list_models(module=models))


def _torchvision_options(name: str) -> dict[str, object]:
    # Auxiliary classifiers would return a tuple in training; the explicit start silences a warning.
    return {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}


def _torchvision_model(reference: str, input_shape: Shape, classes: int) -> nn.Module:
    """Build the model and run it on one image, because torchvision's models check their input in the forward pass."""
    import torch
    from torchvision import models

    from models.products import meta_copy

    name = reference.removeprefix(_TORCHVISION)
    options = _torchvision_options(name)
    if name.startswith("vit_"):
        options = {"image_size": input_shape[1]}
    try:
        model: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
        with torch.no_grad():
            meta_copy(model)(torch.empty(1, *input_shape, device="meta"))
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError, ZeroDivisionError) as error:
        raise NotationError(
            f"network {shown(reference)} does not take images of {'x'.join(map(str, input_shape))}: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    return model
