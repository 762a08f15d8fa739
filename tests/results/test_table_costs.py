"""The table of students with different costs, and its Pareto front."""

from typing import Any

import pytest
from support.handwritten import Writer
from support.tables import BuildTable, NewStudy, the_note, the_row

from study.results.formats.json import as_json
from study.results.rows import RowCost, Table

pytest_plugins = ("support.handwritten", "support.tables")

NARROW, MIDDLE, WIDE = 1_000, 2_000, 4_000


@pytest.fixture
def widths(new_study: NewStudy) -> Writer:
    study = new_study()
    for student, cost, of_baseline, of_arm in (
        ("narrow", NARROW, 0.30, 0.28),
        ("middle", MIDDLE, 0.32, 0.25),
        ("wide", WIDE, 0.20, 0.25),
    ):
        study.trial(9, None, stage="search", student=student, multiplications=cost, sigma=0.3, alpha=0.5)
        given: dict[str, Any] = {"student": student, "multiplications": cost, "stage": "confirm"}
        study.baseline({0: of_baseline, 1: of_baseline + 0.01}, **given)
        study.arm({0: of_arm, 1: of_arm + 0.02}, **given, sigma=0.3, alpha=0.5)
    return study


def test_rows_say_whether_they_are_on_the_front(widths: Writer, table_of: BuildTable) -> None:
    """The front is that of error against multiplications."""
    table = table_of(widths)
    assert [(row.arm.student, row.arm.role, row.cost) for row in table.rows] == [
        ("middle", "baseline", RowCost(MIDDLE, False)),
        ("middle", "arm", RowCost(MIDDLE, True)),
        ("narrow", "baseline", RowCost(NARROW, False)),
        ("narrow", "arm", RowCost(NARROW, True)),
        ("wide", "baseline", RowCost(WIDE, True)),
        ("wide", "arm", RowCost(WIDE, False)),
    ]
    rows = as_json(table)["rows"]
    assert [(row["multiplications"], row["pareto"]) for row in rows][:2] == [(MIDDLE, False), (MIDDLE, True)]
    assert "Pareto front" in the_note(table, "Front")
    assert "3 of its points were confirmed" in the_note(table, "Searched")


def test_students_are_compared_with_their_own_baselines(widths: Writer, table_of: BuildTable) -> None:
    """Students of different cost are each compared with their own baseline."""
    improvements = {row.arm.student: row.improvement_percent for row in table_of(widths).rows if row.arm.role == "arm"}
    assert improvements == {
        "narrow": pytest.approx((0.305 - 0.29) / 0.305 * 100),
        "middle": pytest.approx((0.325 - 0.26) / 0.325 * 100),
        "wide": pytest.approx((0.205 - 0.26) / 0.205 * 100),
    }


def test_rows_of_equal_error_and_cost_are_both_on_the_front(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.1})
    study.arm({0: 0.1}, sigma=0.3, alpha=0.5)
    study.arm({0: 0.1}, sigma=0.3, alpha=0.5, student="wider", multiplications=2_000_000)
    assert [row.cost.pareto for row in table_of(study).rows if row.cost] == [True, True, False]


def test_unknown_cost_is_neither_on_nor_off_the_front(widths: Writer, table_of: BuildTable) -> None:
    """A student of unknown cost is neither on the front nor off it."""
    params = {"dataset": "mnist", "student": "own", "method": "labels", "seed": 0}
    tags = {"noisy_study.kind": "trial", "noisy_study.stage": "grid", "noisy_study.outcome": "completed"}
    widths.run(tags | {"noisy_study.role": "arm"}, params, {"test_error": 0.01})
    table = table_of(widths)
    assert the_row(table, student="own").cost == RowCost(None, None)
    assert the_row(table, student="wide", role="baseline").cost == RowCost(WIDE, True)
    assert the_note(table, "Front").endswith("Left out: 1 row whose multiplications are not known.")


def test_students_of_equal_cost_have_no_front(mnist_table: Table) -> None:
    assert all(row.cost is None for row in mnist_table.rows)
    assert not {"pareto", "multiplications"} & as_json(mnist_table)["rows"][0].keys()
    assert not [line for line in mnist_table.notes if line.startswith("Front")]
