"""Reads a network that is written as one line of text, and writes it.

The grammar::

    network = item { "-" item }
    item    = layer | "[" layer { "-" layer } "]"
    layer   = "C" k "(S" s "P" p ")@" n [ "B" ]     convolution k x k, stride s, padding p, n channels
            | ( "MP" | "AP" ) k "(S" s ")"          max or average pooling k x k, stride s, rounded up
            | "FC" n                                fully connected, n features
            | "D" p                                 dropout with drop probability p

A `B` puts batch normalisation between a convolution and its ReLU. A ReLU follows every convolution and fully connected
layer except the last one of the network, whose outputs are the logits. Square brackets group the layers of a stage for
the reader and have no effect. The notation is that of Sau & Balasubramanian, "Deep Model Compression: Distilling
Knowledge from Noisy Teachers" (2016), section 4, with `D` and `B` added.

Knows nothing of shapes or PyTorch. Every text either gives a network or raises `NotationError`. Sizes have limits, so
that no line exhausts the machine when it is read or built.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from models.notation.layers import (
    MAX_LAYERS,
    MAX_NUMBER,
    Conv,
    Dropout,
    Layer,
    Linear,
    NotationError,
    Pool,
    classifier_of,
    shown,
)

_MAX_TEXT = 20_000
_DIGITS = frozenset("0123456789")


def parse(text: str) -> tuple[Layer, ...]:
    """Read a line of notation.

    `shapes` checks what depends on the size of the input, for instance a kernel that is larger than its image.
    Raises `NotationError` if the text is not a network.
    """
    if len(text) > _MAX_TEXT:
        raise NotationError(f"a network of {len(text)} characters; expected at most {_MAX_TEXT}")
    layers: list[Layer] = []
    at = 0
    stages = 0
    opened: int | None = None
    while True:
        if text[at : at + 1] == "[":
            if opened is not None:
                raise NotationError("expected a layer; a stage cannot contain another stage", "[", at + 1)
            stages += 1
            opened = at
            at += 1
        layer = _TokenReader(text, at).layer(None if opened is None else stages)
        layers.append(layer)
        at += len(layer.text)
        while text[at : at + 1] == "]":
            if opened is None:
                raise NotationError("there is no '[' that this ']' closes", "]", at + 1)
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
        raise NotationError(f"a network of {len(layers)} layers; expected at most {MAX_LAYERS}")
    classifier_of(layers)
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


class _TokenReader:
    """Reads the layer that starts at `start`. Its errors name the place where something else was found."""

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
        """The error for an offset of the token, by default the offset where reading stopped."""
        at = self.at if at is None else at
        rest = self.token[at:] or self.following
        found = shown(rest) if rest else "the end of the line"
        return NotationError(f"expected {expected}, found {found}", self.token, self.start + at + 1)
