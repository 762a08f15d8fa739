"""What more seeds would detect: the lines of the report's first screen."""

import re

import pytest
from support.sheet import Sheet

from study.results.figures.chosen import by_validation
from study.results.figures.pictures import Pictures
from study.results.more_seeds import introduction, more_seeds
from study.results.power import plans_of
from study.results.report import page, verdict
from study.results.table import table_of


def _page(sheet: Sheet) -> str:
    tracked = sheet.tracked()
    table = table_of(tracked)
    return page(tracked, table, verdict(table, by_validation(tracked)), Pictures((), ()))


def test_the_first_line_is_what_the_study_has() -> None:
    tracked = Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.09}).tracked()
    (plan,) = plans_of(tracked, 10)
    ((one,)) = more_seeds(tracked)
    assert one.subject == plan.subject
    assert [line.seeds for line in one.lines] == [3, 6, 12]
    assert one.lines[0].found_percent == plan.detectable_percent
    assert one.lines[0].trainings == 6  # an arm and its baseline


def test_more_seeds_find_smaller_improvements() -> None:
    (one,) = more_seeds(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.09, (0.9, 0.15): 0.1}).tracked())
    found = [line.found_percent for line in one.lines]
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.5 * found[2]


def test_a_study_without_a_spread_has_no_lines() -> None:
    assert more_seeds(Sheet().tracked()) == ()
    assert more_seeds(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.09}, seeds=[0]).tracked()) == ()
    assert "What more seeds would detect" not in _page(Sheet().grid({(0, 0): 0.10}))


def test_at_most_three_students_are_shown() -> None:
    sheet = Sheet()
    for student in ("a", "b", "c", "d"):
        sheet.grid({(0, 0): 0.10, (0.5, 0.15): 0.09}, student=student)
    assert [one.subject for one in more_seeds(sheet.tracked())] == ["a, grid", "b, grid", "c, grid"]


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ({(0, 0): 0.10, (0.5, 0.15): 0.10}, "1 of 1 arm is undecided. More seeds decide an arm if its difference"),
        ({(0, 0): 0.10, (0.5, 0.15): 0.05}, "The arm is decided. More seeds would find smaller improvements:"),
        ({(0, 0): 0.10, (0.5, 0.15): 0.05, (0.9, 0.15): 0.15}, "All 2 arms are decided."),
        ({(0, 0): 0.10}, ""),
    ],
)
def test_the_introduction_says_what_is_open(errors: dict[tuple[float, float], float], said: str) -> None:
    found = introduction(table_of(Sheet().grid(errors).tracked()))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_the_page_shows_them_before_the_table() -> None:
    text = _page(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.09}))
    assert re.search(r'<td class="n">3 \(now\)</td><td class="n">[\d.]+ %</td><td class="n">6</td>', text)
    assert text.index("What more seeds would detect") < text.index("Improvement over the baseline")
