"""How often looks err: a quick version of `python -m benchmarks.sequential`, with wider bounds."""

import numpy as np
import pytest

from benchmarks.page import stored, with_block
from benchmarks.sequential import (
    DESIGNS,
    MOST_FALSE,
    NAME,
    SPENDING,
    Line,
    Spending,
    broken,
    looked_at,
    measure,
    page,
    spending_page,
)
from benchmarks.simulated import ARMS, KINDS, WORLDS, errors, half_better
from benchmarks.statistics import PAGE
from study.planning.rounds import rounds_of
from study.results.looks import LookVerdict, look
from study.results.rule import LEVEL
from study.results.spending import levels

STUDIES = 500
ROOM = 0.03
"""Three standard deviations of a share of 5 % over 500 studies."""

ROUNDS = rounds_of(3, 20)


@pytest.mark.parametrize("world", WORLDS)
def test_studies_name_an_effect_falsely_in_5_of_100(world: str) -> None:
    found = measure(KINDS[0], world, 3, 20, STUDIES)
    assert found.false <= LEVEL + ROOM
    assert found.coverage >= 1 - LEVEL - ROOM


@pytest.mark.parametrize("smallest_effect", [None, 5.0])
def test_the_simulation_judges_as_looks_do(smallest_effect: float | None) -> None:
    """Verdicts, intervals and trainings of 20 studies, judged one by one and all at once."""
    drawn = errors(KINDS[1], "spreads of 1 to 3 times", half_better(KINDS[1]), 20, 20)
    together = looked_at(drawn, ROUNDS, levels(ROUNDS, LEVEL), smallest_effect)
    for number, study in enumerate(drawn):
        baseline = dict(enumerate(study[:, 0].tolist()))
        arms = {str(arm): dict(enumerate(study[:, 1 + arm].tolist())) for arm in range(ARMS)}
        ended: dict[str, LookVerdict] = {}
        for k in range(1, len(ROUNDS) + 1):
            found = look(k, ROUNDS, range(20), arms, baseline, ended, ARMS, smallest_effect)
            ended |= {**found.decided, **found.futile}
            if k == len(ROUNDS):
                ended |= found.open
        words = [{"better": 1, "worse": -1}.get(ended[str(arm)].verdict, 0) for arm in range(ARMS)]
        assert words == together.finding[number].tolist()
        seeds = [ended[str(arm)].n for arm in range(ARMS)]
        assert sum(seeds) + max(seeds) == together.trainings[number]
        for arm in range(ARMS):
            interval = ended[str(arm)].improvement_interval
            assert interval is not None
            ends = 100 * np.array([together.low[number, arm], together.high[number, arm]])
            assert interval == pytest.approx(ends.tolist(), rel=1e-4, abs=1e-4)


def test_growing_studies_take_fewer_trainings() -> None:
    found = measure(KINDS[0], "equal spreads", 3, 20, STUDIES)
    assert found.power >= 0.95
    assert found.share is not None
    assert found.share <= 0.75


def test_a_line_outside_the_promise_is_named() -> None:
    bad = Line(KINDS[0].name, "equal spreads", 3, 20, 0.07, 0.93, 0.9, 100, 80, 10.0)
    assert len(broken([bad])) == 3


def test_the_page_has_the_stored_numbers() -> None:
    numbers, ways = stored(NAME, None), stored(SPENDING, None)
    lines = [Line(**line) for line in numbers["lines"]]
    assert numbers["studies"] == ways["studies"] == 2000
    assert {(line.kind, line.world, line.first, line.at_most) for line in lines} == {
        (kind.name, world, *design) for kind in KINDS for world in WORLDS for design in DESIGNS
    }
    assert broken(lines) == []
    text = PAGE.read_text("utf-8")
    assert with_block(text, NAME, page(lines)) == text
    of_ways, most_false = [Spending(**line) for line in ways["lines"]], ways["most_false_without_futility"]
    assert with_block(text, SPENDING, spending_page(of_ways, most_false)) == text
    assert most_false <= MOST_FALSE


def test_no_level_depends_on_futility() -> None:
    """One arm has the whole level: nothing is lost to the correction."""
    drawn = errors(KINDS[0], "equal spreads", np.zeros(ARMS), 1000, 20)
    for arms in (1, 3):
        ended = looked_at(drawn[..., : 1 + arms], ROUNDS, levels(ROUNDS, LEVEL), least_chance=0)
        assert (ended.finding != 0).any(axis=1).mean() <= LEVEL + 0.021
