"""The layers of the notation, and the error for a line that is not a network.

Works on layers as plain values. Knows nothing of text, shapes or PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

MAX_LAYERS = 1_000
MAX_NUMBER = 100_000
"""The largest kernel, stride, padding, number of channels or features, and side of an input."""
MAX_PARAMETERS = 500_000_000
"""The most trainable parameters of a network: 2 GB in single precision."""
MAX_VALUES = 100_000_000
"""The most values in one layer's output for one image."""

Shape: TypeAlias = tuple[int, ...]
"""The shape of one image or of its activations, without the batch: (C, H, W), or (N,) when flat."""


class NotationError(ValueError):
    """A network that is impossible. The message is one line: what is wrong, in which token, and at which character.

    Attributes:
        token: the layer or bracket that is wrong.
        position: the character, counted from 1, where reading stopped, or where the layer starts that does not fit.

    Both are None if the error does not concern a place in a line.
    """

    def __init__(self, problem: str, token: str | None = None, position: int | None = None) -> None:
        self.token = token
        self.position = position
        place = "" if position is None else f"character {position}"
        place += f", in {shown(token)}" if token else ""
        super().__init__(f"{place}: {problem}" if place else problem)


@dataclass(frozen=True)
class _Token:
    """Where a layer was read. Layers with the same settings are equal, also at different places."""

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
    """Square pooling without padding: `MP3(S2)`, `AP8(S1)`. The last window may reach beyond the edge (ceil mode)."""

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


def classifier_of(layers: Sequence[Layer]) -> tuple[int, Conv | Linear]:
    """The last convolution or fully connected layer, whose outputs are the logits, and its index."""
    for index in reversed(range(len(layers))):
        layer = layers[index]
        if isinstance(layer, Conv | Linear):
            return index, layer
    raise NotationError("a network without a classifier; expected a convolution or fully connected layer")


def with_dropout(layers: Sequence[Layer], probability: float) -> tuple[Layer, ...]:
    """The same network with dropout after every hidden fully connected layer (and its ReLU).

    Args:
        layers: a network.
        probability: the probability of dropping a value, in [0, 1).

    Raises `NotationError` if there is no hidden fully connected layer, or if dropout already follows one.
    """
    last, _ = classifier_of(layers)
    hidden = [index for index in range(last) if isinstance(layers[index], Linear)]
    if not hidden:
        raise NotationError("has no hidden fully connected layer that dropout could follow")
    result = list(layers)
    for index in reversed(hidden):
        if isinstance(layers[index + 1], Dropout):
            raise error_at(layers[index + 1], "dropout follows this fully connected layer already")
        result.insert(index + 1, Dropout(probability, stage=layers[index].stage))
    return tuple(result)


def number_of_classes(layers: Sequence[Layer]) -> int:
    """The number of logits: the width of the last convolution or fully connected layer."""
    _, last = classifier_of(layers)
    return last.channels if isinstance(last, Conv) else last.features


def error_at(layer: Layer, problem: str) -> NotationError:
    """An error about a layer, with its place in the line."""
    return NotationError(problem, layer.text or str(layer), layer.position)


def shown(text: str) -> str:
    """A user's text for a message: quoted, on one line, and shortened."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def times(shape: Shape) -> str:
    """A shape for a message: `3x32x32`."""
    return "x".join(str(size) for size in shape)
