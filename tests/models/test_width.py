"""Widened networks: which layers have a width to choose, and what a multiplier makes of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import notation, zoo
from models.cost import network_cost
from models.notation import Conv, Linear, NotationError
from models.width import hidden_layers, widen

_WITH_A_LINE = [name for name in zoo.names() if zoo.get(name).notation is not None]
_name = st.sampled_from(_WITH_A_LINE)
_multiplier = st.floats(0.01, 4)


@st.composite
def _multipliers(draw: st.DrawFn, name: str) -> dict[str, float]:
    layers = hidden_layers(name)
    return draw(st.dictionaries(st.sampled_from(layers), _multiplier)) if layers else {}


def _widths(reference: str) -> list[int]:
    layers = notation.parse(zoo.get(reference).notation or "")
    return [
        layer.channels if isinstance(layer, Conv) else layer.features
        for layer in layers
        if isinstance(layer, Conv | Linear)
    ]


def _multiplications(reference: str, name: str) -> int:
    return network_cost(reference, zoo.get(name).input_shape).multiplications


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("lenet-cifar10", ("conv1", "conv2", "fc1")),
        ("fc800", ("fc1", "fc2")),
        ("nin", tuple(f"conv{number}" for number in range(1, 9))),  # the ninth gives the classes
        ("C3(S1P1)@8B-MP2(S2)-D0.5-FC10", ("conv1",)),
        ("FC10", ()),
    ],
)
def test_every_layer_has_a_width_to_choose_but_the_classifier(reference: str, names: tuple[str, ...]) -> None:
    assert hidden_layers(reference) == names


def test_layer_is_scaled_by_its_own_factor() -> None:
    """A layer is multiplied by its own number and keeps its stage and its norm."""
    line = "[C3(S1P1)@16B-MP2(S2)]-[C3(S1P1)@32]-D0.5-FC100-FC10"
    assert widen(line, {"conv1": 0.25, "fc1": 1.5}) == "[C3(S1P1)@4B-MP2(S2)]-[C3(S1P1)@32]-D0.5-FC150-FC10"


def test_a_width_is_rounded_and_never_0() -> None:
    assert widen("FC10-FC10-FC2", {"fc1": 0.26, "fc2": 0.01}) == "FC3-FC1-FC2"


@pytest.mark.parametrize("name", _WITH_A_LINE)
def test_a_network_whose_widths_stay_keeps_its_name(name: str) -> None:
    assert widen(name, {}) == name
    assert widen(name, dict.fromkeys(hidden_layers(name), 1.0)) == name


@settings(deadline=None)
@given(st.data(), _name)
def test_widened_network_keeps_classes_and_layers(data: st.DataObject, name: str) -> None:
    """A widened network is a network of the same classes and layers."""
    multipliers = data.draw(_multipliers(name))
    line = widen(name, multipliers)
    assert zoo.get(line).classes == zoo.get(name).classes
    assert hidden_layers(line) == hidden_layers(name)
    factors = [multipliers.get(layer, 1.0) for layer in hidden_layers(name)]
    for before, after, factor in zip(_widths(name)[:-1], _widths(line)[:-1], factors, strict=True):
        assert after == 1 or abs(after - before * factor) <= 0.5


@settings(deadline=None)
@given(st.data(), _name, st.floats(1, 4))
def test_multiplications_grow_with_every_multiplier(data: st.DataObject, name: str, growth: float) -> None:
    narrow = data.draw(_multipliers(name))
    layer = data.draw(st.sampled_from(hidden_layers(name)))
    wide = {**narrow, layer: narrow.get(layer, 1.0) * growth}
    narrow_line, wide_line = widen(name, narrow), widen(name, wide)
    fewer, more = _multiplications(narrow_line, name), _multiplications(wide_line, name)
    assert fewer < more if _widths(narrow_line) != _widths(wide_line) else fewer == more


def test_a_network_without_a_line_is_named() -> None:
    message = "^network 'resnet20' has no line of notation, so its widths cannot be changed$"
    with pytest.raises(NotationError, match=message):
        hidden_layers("resnet20")
    with pytest.raises(NotationError, match=message):
        widen("resnet20", {})


@pytest.mark.parametrize(
    ("multipliers", "message"),
    [
        ({"conv3": 0.5}, "network 'lenet-cifar10' has no hidden layer 'conv3'; it has conv1, conv2, fc1"),
        ({"fc2": 0.5}, "network 'lenet-cifar10' has no hidden layer 'fc2'; it has conv1, conv2, fc1"),
        ({"conv1": 0.0}, "layer conv1: expected a multiplier above 0, not 0.0"),
        ({"conv1": float("nan")}, "layer conv1: expected a multiplier above 0, not nan"),
        ({"conv1": float("inf")}, "layer conv1: expected a multiplier above 0, not inf"),
        ({"fc1": 1000}, "layer fc1: 1024 times 1000 is wider than 100000"),
    ],
)
def test_a_width_that_cannot_be_is_one_line(multipliers: dict[str, float], message: str) -> None:
    with pytest.raises(NotationError, match=f"^{message}$"):
        widen("lenet-cifar10", multipliers)
