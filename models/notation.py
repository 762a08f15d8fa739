"""Networks written as one line of text: reading it, its shapes and sizes, and the PyTorch module it means.

The grammar::

    network = item { "-" item }
    item    = layer | "[" layer { "-" layer } "]"
    layer   = "C" k "(S" s "P" p ")@" n [ "B" ]     convolution k x k, stride s, padding p, n channels
            | ( "MP" | "AP" ) k "(S" s ")"          max or average pooling k x k, stride s, rounded up
            | "FC" n                                fully connected, n features
            | "D" p                                 dropout with drop probability p

A `B` puts batch normalisation between a convolution and its ReLU. A ReLU follows every convolution and
fully connected layer but the last of the network, whose outputs are the logits. Square brackets group a
stage for the reader and mean nothing else. The notation is that of Sau & Balasubramanian, "Deep Model
Compression: Distilling Knowledge from Noisy Teachers" (2016), section 4, with `D` and `B` added.

This module knows nothing of training, of data sets, or of networks by name. Every text either gives a
network or raises `NotationError`: sizes are bounded, so that no line can exhaust the machine by being read
or built.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import nn

MAX_LAYERS = 1_000
MAX_NUMBER = 100_000
"""The largest kernel, stride, padding, number of channels or features, and side of an input."""
MAX_PARAMETERS = 500_000_000
"""The most trainable parameters of a network: 2 GB in single precision."""
MAX_VALUES = 100_000_000
"""The most values in one layer's output for one image."""

_MAX_TEXT = 20_000
_DIGITS = frozenset("0123456789")

Shape: TypeAlias = tuple[int, ...]
"""The shape of one image or of its activations, without the batch: (C, H, W), or (N,) when flat."""


class NotationError(ValueError):
    """A network that cannot be: one line that says what is wrong, in which token, and at which character.

    `token` is the layer or bracket at fault and `position` the character of the line, counted from 1, where
    reading stopped, or where the layer starts that does not fit; both are None where the error has no place
    in a line of notation.
    """

    def __init__(self, problem: str, token: str | None = None, position: int | None = None) -> None:
        self.token = token
        self.position = position
        place = "" if position is None else f"character {position}"
        place += f", in {shown(token)}" if token else ""
        super().__init__(f"{place}: {problem}" if place else problem)


@dataclass(frozen=True)
class _Token:
    """Where a layer was read. Layers compare by what they mean, not by where they stand."""

    text: str = field(default="", compare=False, kw_only=True)
    """The layer as written; empty for a layer that was not read from text."""
    position: int = field(default=0, compare=False, kw_only=True)
    """The first character in its line, from 1; 0 for a layer that was not read from text."""
    stage: int | None = field(default=None, compare=False, kw_only=True)
    """The number of its bracketed stage, from 1; None outside brackets."""


@dataclass(frozen=True)
class Conv(_Token):
    """A square convolution with a bias: `C5(S1P2)@64`, or `C5(S1P2)@64B` with batch normalisation."""

    kernel: int
    stride: int
    padding: int
    channels: int
    batch_norm: bool = False

    def __str__(self) -> str:
        norm = "B" if self.batch_norm else ""
        return f"C{self.kernel}(S{self.stride}P{self.padding})@{self.channels}{norm}"


@dataclass(frozen=True)
class Pool(_Token):
    """Square pooling without padding, whose last window may hang over the edge: `MP3(S2)`, `AP8(S1)`."""

    kind: Literal["max", "average"]
    kernel: int
    stride: int

    def __str__(self) -> str:
        return f"{'MP' if self.kind == 'max' else 'AP'}{self.kernel}(S{self.stride})"


@dataclass(frozen=True)
class Linear(_Token):
    """A fully connected layer with a bias: `FC1024`."""

    features: int

    def __str__(self) -> str:
        return f"FC{self.features}"


@dataclass(frozen=True)
class Dropout(_Token):
    """Dropout of single values with drop probability in [0, 1): `D0.5`."""

    probability: float

    def __str__(self) -> str:
        return f"D{Decimal(repr(self.probability)).normalize():f}"


Layer: TypeAlias = Conv | Pool | Linear | Dropout


def parse(text: str) -> tuple[Layer, ...]:
    """Read a line of notation.

    What depends on the size of the input (a kernel larger than its image, for one) is checked by `shapes`.
    Raises `NotationError` where the text is not a network.
    """
    if len(text) > _MAX_TEXT:
        raise NotationError(f"a network of {len(text)} characters; at most {_MAX_TEXT} are read")
    layers: list[Layer] = []
    at = 0
    stages = 0
    opened: int | None = None
    while True:
        if text[at : at + 1] == "[":
            if opened is not None:
                raise NotationError("expected a layer, a stage holds no other stage", "[", at + 1)
            stages += 1
            opened = at
            at += 1
        layer = _TokenReader(text, at).layer(None if opened is None else stages)
        layers.append(layer)
        at += len(layer.text)
        while text[at : at + 1] == "]":
            if opened is None:
                raise NotationError("closes a stage that no '[' opened", "]", at + 1)
            opened = None
            at += 1
        if at == len(text):
            break
        if text[at] != "-":
            raise NotationError("expected '-' before this stage", "[", at + 1)
        at += 1
    if opened is not None:
        raise NotationError("expected a ']' that closes this stage", "[", opened + 1)
    if len(layers) > MAX_LAYERS:
        raise NotationError(f"a network of {len(layers)} layers; at most {MAX_LAYERS} are built")
    _classifier(layers)
    return tuple(layers)


def format_network(layers: Iterable[Layer]) -> str:
    """The line of notation that `parse` reads back as the same layers in the same stages."""
    pieces: list[str] = []
    before: int | None = None
    for layer in layers:
        if before is not None and layer.stage != before:
            pieces.append("]")
        if pieces:
            pieces.append("-")
        if layer.stage is not None and layer.stage != before:
            pieces.append("[")
        pieces.append(str(layer))
        before = layer.stage
    if before is not None:
        pieces.append("]")
    return "".join(pieces)


def with_dropout(layers: Sequence[Layer], probability: float) -> tuple[Layer, ...]:
    """The same network with dropout after every hidden fully connected layer (and its ReLU).

    Args:
        layers: a network.
        probability: of dropping a value, in [0, 1).

    Raises `NotationError` where no fully connected layer is hidden, or dropout follows one already.
    """
    last, _ = _classifier(layers)
    hidden = [index for index in range(last) if isinstance(layers[index], Linear)]
    if not hidden:
        raise NotationError("has no hidden fully connected layer that dropout could follow")
    result = list(layers)
    for index in reversed(hidden):
        if isinstance(layers[index + 1], Dropout):
            raise _at(layers[index + 1], "dropout follows this fully connected layer already")
        result.insert(index + 1, Dropout(probability, stage=layers[index].stage))
    return tuple(result)


def number_of_classes(layers: Sequence[Layer]) -> int:
    """How many logits the network gives: the width of its last convolution or fully connected layer."""
    _, last = _classifier(layers)
    return last.channels if isinstance(last, Conv) else last.features


def shapes(layers: Sequence[Layer], input_shape: Shape) -> tuple[Shape, ...]:
    """The output shape of every layer for one image of `input_shape`, (C, H, W) or (N,).

    A fully connected layer flattens what it is given. Raises `NotationError` where a layer cannot follow
    what comes before it, where the result is not one value per class, or where the network is too large.
    """
    check_input_shape(input_shape)
    results: list[Shape] = []
    shape = tuple(input_shape)
    total = 0
    for layer in layers:
        after = _output_shape(layer, shape)
        if math.prod(after) > MAX_VALUES:
            raise _at(layer, f"gives {_times(after)} values for one image; at most {MAX_VALUES} are allowed")
        total += parameters(layer, shape)
        if total > MAX_PARAMETERS:
            raise _at(
                layer,
                f"brings the network to {total} parameters on an input of {_times(input_shape)}; "
                f"at most {MAX_PARAMETERS} are allowed",
            )
        results.append(after)
        shape = after
    _, classifier = _classifier(layers)
    if math.prod(shape) != shape[0]:
        raise _at(
            layers[-1],
            f"the network ends in {_times(shape)} on an input of {_times(input_shape)}; "
            f"expected one value for each of the {shape[0]} classes of {classifier}",
        )
    return tuple(results)


def parameters(layer: Layer, input_shape: Shape) -> int:
    """Trainable parameters of one layer that is given `input_shape`: weights, biases, batch normalisation."""
    match layer:
        case Conv():
            weights = layer.kernel**2 * input_shape[0] * layer.channels
            return weights + layer.channels * (3 if layer.batch_norm else 1)
        case Linear():
            return math.prod(input_shape) * layer.features + layer.features
        case _:
            return 0


def layer_names(layers: Iterable[Layer]) -> tuple[str, ...]:
    """The name of every layer in the built module: its kind, and a count of its kind from 1 (`conv2`)."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for layer in layers:
        match layer:
            case Conv():
                kind = "conv"
            case Pool():
                kind = "pool"
            case Linear():
                kind = "fc"
            case Dropout():
                kind = "dropout"
        seen[kind] += 1
        names.append(f"{kind}{seen[kind]}")
    return tuple(names)


def build(network: str | Sequence[Layer], input_shape: Shape) -> nn.Sequential:
    """The module that a line means: a batch of images (batch, C, H, W) gives logits (batch, classes).

    Weights are PyTorch's default initialisation, drawn from torch's global generator, so that a seed set
    before decides them. The names in the state dictionary are those of `layer_names`, with `_norm` added for
    batch normalisation; brackets leave no trace in them.
    Raises `NotationError` where the line, or the line on this input, is not a network.
    """
    from torch import nn  # here, so that reading and checking a line does not wait for PyTorch

    layers = parse(network) if isinstance(network, str) else tuple(network)
    outputs = shapes(layers, input_shape)
    inputs = (tuple(input_shape), *outputs[:-1])
    last, _ = _classifier(layers)
    modules: list[tuple[str, nn.Module]] = []
    for index, (layer, name, shape) in enumerate(zip(layers, layer_names(layers), inputs, strict=True)):
        match layer:
            case Conv():
                convolution = nn.Conv2d(
                    shape[0], layer.channels, layer.kernel, stride=layer.stride, padding=layer.padding
                )
                modules.append((name, convolution))
                if layer.batch_norm:
                    modules.append((f"{name}_norm", nn.BatchNorm2d(layer.channels)))
            case Pool():
                pooling = nn.MaxPool2d if layer.kind == "max" else nn.AvgPool2d
                modules.append((name, pooling(layer.kernel, stride=layer.stride, ceil_mode=True)))
            case Linear():
                if len(shape) == 3:
                    modules.append(("flatten", nn.Flatten()))
                modules.append((name, nn.Linear(math.prod(shape), layer.features)))
            case Dropout():
                modules.append((name, nn.Dropout(layer.probability)))
        if isinstance(layer, Conv | Linear) and index != last:
            modules.append((f"{name}_relu", nn.ReLU()))
    if len(outputs[-1]) == 3:
        modules.append(("flatten", nn.Flatten()))
    for at in range(1, len(modules)):
        # The largest of ReLUs is the ReLU of the largest, in every bit and in its gradient, for a quarter of the work.
        if isinstance(modules[at][1], nn.MaxPool2d) and isinstance(modules[at - 1][1], nn.ReLU):
            modules[at - 1], modules[at] = modules[at], modules[at - 1]
    return nn.Sequential(OrderedDict(modules))


def check_input_shape(input_shape: Shape) -> None:
    """Raise `NotationError` unless this is (C, H, W) or (N,) with every size from 1 to `MAX_NUMBER`."""
    if len(input_shape) not in (1, 3) or not all(1 <= size <= MAX_NUMBER for size in input_shape):
        raise NotationError(
            f"an input of shape {tuple(input_shape)}; expected (channels, height, width) or (features,), "
            f"each from 1 to {MAX_NUMBER}"
        )


def shown(text: str) -> str:
    """A user's text as it stands in a message: quoted, on one line, and not longer than a line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Linear():
            return (layer.features,)
        case Dropout():
            return shape
    if len(shape) != 3:
        raise _at(layer, f"expected feature maps to work on, found {shape[0]} flat features")
    channels, *sides = shape
    if isinstance(layer, Conv):
        channels = layer.channels
        after = [(side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in sides]
    else:
        after = [_pooled_side(side, layer) for side in sides]
    if min(after) < 1:
        padded = " with its padding" if isinstance(layer, Conv) and layer.padding else ""
        raise _at(layer, f"leaves nothing of {_times(shape)}: the kernel is larger than its input{padded}")
    return (channels, *after)


def _pooled_side(side: int, layer: Pool) -> int:
    """PyTorch's ceil mode: round up, then drop a last window that would start outside the input."""
    after = (side - layer.kernel + layer.stride - 1) // layer.stride + 1
    return after - 1 if (after - 1) * layer.stride >= side else after


def _classifier(layers: Sequence[Layer]) -> tuple[int, Conv | Linear]:
    """The last convolution or fully connected layer, the one that gives the classes, and its index."""
    for index in reversed(range(len(layers))):
        layer = layers[index]
        if isinstance(layer, Conv | Linear):
            return index, layer
    raise NotationError("a network without a classifier; expected a convolution or fully connected layer")


def _at(layer: Layer, problem: str) -> NotationError:
    return NotationError(problem, layer.text or str(layer), layer.position)


def _times(shape: Shape) -> str:
    return "x".join(str(size) for size in shape)


class _TokenReader:
    """Reads the one layer that starts at `start`, and knows where it is when something else stands there."""

    def __init__(self, text: str, start: int) -> None:
        end = start
        while end < len(text) and text[end] not in "-[]":
            end += 1
        self.start = start
        self.token = text[start:end]
        self.following = text[end : end + 1]
        self.at = 0

    def layer(self, stage: int | None) -> Layer:
        layer = self._layer()
        if self.at != len(self.token):
            raise self._expected("the end of this layer ('-', ']' or the end of the line)")
        return replace(layer, text=self.token, position=self.start + 1, stage=stage)

    def _layer(self) -> Layer:
        if self._take("FC"):
            return Linear(self._integer("a number of features", least=1))
        if self._take("MP"):
            return self._pool("max")
        if self._take("AP"):
            return self._pool("average")
        if self._take("C"):
            return self._convolution()
        if self._take("D"):
            return Dropout(self._probability())
        raise self._expected("a layer (C, MP, AP, FC or D)")

    def _convolution(self) -> Conv:
        kernel = self._integer("a kernel size", least=1)
        self._need("(S", "'(S' and a stride")
        stride = self._integer("a stride", least=1)
        self._need("P", "'P' and a padding")
        padding = self._integer("a padding", least=0)
        self._need(")@", "')@' and a number of channels")
        channels = self._integer("a number of channels", least=1)
        return Conv(kernel, stride, padding, channels, self._take("B"))

    def _pool(self, kind: Literal["max", "average"]) -> Pool:
        kernel = self._integer("a kernel size", least=1)
        self._need("(S", "'(S' and a stride")
        stride = self._integer("a stride", least=1)
        self._need(")", "')'")
        return Pool(kind, kernel, stride)

    def _integer(self, what: str, least: int) -> int:
        begin = self.at
        digits = self._digits()
        if not digits:
            raise self._expected(f"{what} from {least} to {MAX_NUMBER}")
        # The length first: Python refuses to convert thousands of digits.
        significant = digits.lstrip("0") or "0"
        if len(significant) > len(str(MAX_NUMBER)) or not least <= int(significant) <= MAX_NUMBER:
            raise self._expected(f"{what} from {least} to {MAX_NUMBER}", begin)
        return int(significant)

    def _probability(self) -> float:
        begin = self.at
        whole = self._digits()
        decimals = self._digits() if whole and self._take(".") else "0"
        if not whole or not decimals or float(f"{whole}.{decimals}") >= 1:
            raise self._expected("a drop probability from 0 to less than 1", begin)
        return float(f"{whole}.{decimals}")

    def _digits(self) -> str:
        begin = self.at
        while self.at < len(self.token) and self.token[self.at] in _DIGITS:
            self.at += 1
        return self.token[begin : self.at]

    def _take(self, mark: str) -> bool:
        found = self.token.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def _need(self, mark: str, expected: str) -> None:
        if not self._take(mark):
            raise self._expected(expected)

    def _expected(self, expected: str, at: int | None = None) -> NotationError:
        """What was expected at offset `at` of the token (where reading stands, unless given)."""
        at = self.at if at is None else at
        rest = self.token[at:] or self.following
        found = shown(rest) if rest else "the end of the line"
        return NotationError(f"expected {expected}, found {found}", self.token, self.start + at + 1)
