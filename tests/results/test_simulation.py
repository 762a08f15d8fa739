"""How often the rule errs: a quick version of `python -m benchmarks.statistics`, with wider bounds."""

import json

import pytest

from benchmarks.page import ROOT, stored, with_block
from benchmarks.simulated import COLLAPSED, KINDS, WORLDS
from benchmarks.statistics import NAME, PAGE, SEEDS, Line, broken, measure, page

STUDIES = 500
ROOM = 0.03
"""Three standard deviations of a share of 5 % over 500 studies."""


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seeds", [3, 10])
def test_tables_name_an_effect_falsely_in_5_of_100(world: str, seeds: int) -> None:
    found = measure(KINDS[0], world, seeds, STUDIES)
    assert found.false <= 0.05 + ROOM
    assert found.coverage >= 0.95 - ROOM


def test_the_rule_finds_what_three_seeds_can_show() -> None:
    assert measure(KINDS[1], "equal spreads", 3, STUDIES).power >= 0.65
    assert measure(KINDS[0], "equal spreads", 5, STUDIES).power >= 0.45


def test_the_simulation_can_fail() -> None:
    """The lines differ, and a line outside the promise is named."""
    false = Line(KINDS[0].name, "equal spreads", 5, false=0.07, coverage=0.93, power=0.44)
    assert len(broken([false])) == 3
    assert measure(KINDS[0], "one arm at 4 times the spread", 5, STUDIES).false > 0


def test_the_page_has_the_stored_numbers() -> None:
    numbers = stored(NAME, None)
    lines = [Line(**line) for line in numbers["lines"]]
    assert (numbers["studies"], numbers["level"]) == (2000, 0.05)
    assert {(line.kind, line.world, line.seeds) for line in lines} == {
        (kind.name, world, seeds) for kind in KINDS for world in WORLDS for seeds in SEEDS
    }
    text = PAGE.read_text("utf-8")
    assert with_block(text, NAME, page(lines)) == text


def test_the_stored_numbers_keep_the_promises() -> None:
    lines = [Line(**line) for line in json.loads((ROOT / "benchmarks" / f"{NAME}.json").read_text("utf-8"))["lines"]]
    assert COLLAPSED in {line.world for line in lines}
    assert broken(lines) == []
