"""The table of a study with a search: confirmed points, and notes about the search."""

import pytest
from support.handwritten import SEARCHED_BASELINE
from support.tables import BuildTable, NewStudy, the_note

from study.results.formats.json import as_json
from study.results.render import FORMATS, render
from study.results.rows import Table
from study.results.table import build_table

pytest_plugins = ("support.handwritten", "support.tables")


def test_without_a_grid_the_confirmation_has_the_baseline(uri: str, searched: str) -> None:
    """A study without a grid has the baseline of its confirmation."""
    table = build_table(uri, searched)
    assert [(row.arm.role, row.stage, row.n) for row in table.rows] == [
        ("baseline", "confirm", 3),
        ("arm", "confirm", 3),
        ("arm", "confirm", 3),
    ]
    assert all(row.improvement_percent is not None for row in table.rows[1:])


def test_searched_table_says_how_points_were_found(uri: str, searched: str) -> None:
    """A searched table says how its points and its baseline were found."""
    table = build_table(uri, searched)
    assert as_json(table)["baseline_kind"] == SEARCHED_BASELINE
    assert the_note(table, "Searched") == (
        "Searched: 5 trials (2 pruned, 1 diverged) by validation error on 1 seed, 37 epochs in total; its best 2 were "
        "confirmed."
    )
    assert the_note(table, "Baseline searched") == (
        "Baseline searched: 2 trials (1 pruned) by validation error on 1 seed, 18 epochs in total; its best was "
        "confirmed."
    )


def test_a_study_without_a_search_has_no_note_about_one(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10})
    study.arm({0: 0.09}, sigma=0.3, alpha=0.5, lr=0.01)
    assert not [line for line in table_of(study).notes if "earch" in line]


def test_a_running_search_has_no_confirmed_points(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.trial(9, None, stage="search", sigma=0.3, alpha=0.5, epochs_trained=7)
    study.trial(9, None, stage="search", outcome=None, sigma=0.4, alpha=0.5)
    study.trial(9, None, role="baseline", stage="search", epochs_trained=1)
    table = table_of(study)
    assert the_note(table, "Searched") == (
        "Searched: 2 trials (1 running) by validation error on 1 seed, 7 epochs in total; none is confirmed yet."
    )
    assert the_note(table, "Baseline searched").endswith("1 seed, 1 epoch in total; none is confirmed yet.")


def test_epochs_known_for_some_runs_are_a_lower_bound(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.trial(9, None, stage="search", sigma=0.3, alpha=0.5, epochs_trained=7)
    study.trial(9, None, stage="search", outcome="failed", sigma=0.4, alpha=0.5)
    assert ", at least 7 epochs in total;" in the_note(table_of(study), "Searched")


def test_unknown_epochs_are_left_out(mnist_table: Table) -> None:
    assert (
        the_note(mnist_table, "Searched") == "Searched: 2 trials by validation error on 1 seed; its best was confirmed."
    )


def test_unsearched_baseline_is_noted(new_study: NewStudy, table_of: BuildTable) -> None:
    """The note says what the search chose for the arms and not for a baseline that was not searched."""
    study = new_study()
    for lr in (0.001, 0.01):
        study.trial(9, None, stage="search", sigma=0.3, alpha=0.5, lr=lr)
    study.baseline({0: 0.10}, stage="confirm")
    study.arm({0: 0.09}, stage="confirm", sigma=0.3, alpha=0.5, lr=0.01)
    assert "chose lr for its points but not for the baseline" in the_note(table_of(study), "The search")
    study.trial(9, None, role="baseline", stage="search", lr=0.01)
    table = table_of(study)
    assert not [line for line in table.notes if line.startswith("The search")]
    assert table.baseline_kind == "searched"


def test_confirmed_grid_point_has_two_rows(new_study: NewStudy, table_of: BuildTable) -> None:
    """A confirmed point that the grid has too is a row of each."""
    study = new_study()
    errors = {0: 0.09, 1: 0.10, 2: 0.08}
    study.baseline({0: 0.10, 1: 0.12, 2: 0.11})
    study.arm(errors, sigma=0.3, alpha=0.5)
    study.trial(9, None, stage="search", sigma=0.3, alpha=0.5)
    study.arm(errors, stage="confirm", sigma=0.3, alpha=0.5)
    table = table_of(study)
    grid, confirmed = table.rows[1:]
    assert (grid.stage, confirmed.stage) == ("grid", "confirm")
    assert grid.p_value == confirmed.p_value
    assert grid.p_corrected == pytest.approx(2 * (grid.p_value or 0))
    assert "its best was confirmed" in the_note(table, "Searched")
    assert not [line for line in table.notes if line.startswith("More than one")]
    assert all(render(table, format) for format in FORMATS)


def test_a_point_that_was_confirmed_twice_is_one_row(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10, 1: 0.12}, stage="confirm")
    for sigma in ("0.3", "0.30"):
        study.trial(9, None, stage="search", sigma=sigma, alpha=0.5)
        study.arm({0: 0.09, 1: 0.10}, stage="confirm", sigma=sigma, alpha=0.5)
    table = table_of(study)
    assert [row.n for row in table.rows] == [2, 2]
    assert the_note(table, "More than one")
    assert "its best was confirmed" in the_note(table, "Searched")
