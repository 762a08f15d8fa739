"""Dropout is added to a network where it has hidden fully connected layers, and nowhere else."""

import pytest

from models import zoo
from models.notation import Dropout, NotationError, format_network, parse, with_dropout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("FC8-FC3", "FC8-D0.25-FC3"),
        ("[C3(S1P1)@4-MP2(S2)]-FC8-FC6-FC3", "[C3(S1P1)@4-MP2(S2)]-FC8-D0.25-FC6-D0.25-FC3"),
        ("[C3(S1P1)@4]-[FC8-FC6]-FC3", "[C3(S1P1)@4]-[FC8-D0.25-FC6-D0.25]-FC3"),
    ],
)
def test_it_follows_every_hidden_fully_connected_layer(line: str, expected: str) -> None:
    assert format_network(with_dropout(parse(line), 0.25)) == expected


@pytest.mark.parametrize("line", ["FC3", "[C3(S1P1)@4-MP2(S2)]-FC3", "[C3(S1P1)@3]-AP8(S1)"])
def test_a_network_without_such_a_layer_is_refused(line: str) -> None:
    with pytest.raises(NotationError, match="no hidden fully connected layer"):
        with_dropout(parse(line), 0.5)


def test_existing_dropout_is_refused_by_its_place() -> None:
    """A network that already has dropout there is refused, and the message names the place."""
    with pytest.raises(NotationError, match=r"D0\.1.*already"):
        with_dropout(parse("FC8-D0.1-FC3"), 0.5)


def test_the_student_of_table_5_has_it_behind_its_1024_units() -> None:
    line = zoo.with_dropout("lenet-cifar10", 0.2)
    assert line.endswith("-FC1024-D0.2-FC10")
    assert [layer for layer in parse(line) if not isinstance(layer, Dropout)] == list(
        parse(zoo.get("lenet-cifar10").notation or "")
    )


@pytest.mark.parametrize("reference", ["resnet8", "torchvision:resnet18"])
def test_a_network_without_a_line_is_refused(reference: str) -> None:
    with pytest.raises(NotationError, match="no line of notation"):
        zoo.with_dropout(reference, 0.5)
