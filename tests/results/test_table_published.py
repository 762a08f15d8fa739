"""Published numbers beside the rows of a table."""

from typing import Any

import pytest
from support.tables import BuildTable, NewStudy, the_note

from study.results.rows import Table

pytest_plugins = ("support.handwritten", "support.tables")


def test_published_numbers_match_their_settings(mnist_table: Table) -> None:
    """Published numbers stand beside the settings that they were printed for."""
    assert [row.published_error_percent for row in mnist_table.rows] == [0.97, 0.96, 0.87, None, None, None]
    assert [row.published_improvement_percent for row in mnist_table.rows] == [
        None,
        pytest.approx(1 / 97 * 100),
        pytest.approx(10 / 97 * 100),
        None,
        None,
        None,
    ]
    assert "Table 1 (section 4.1)" in the_note(mnist_table, "Published")


def test_published_numbers_of_another_dataset_are_not_shown(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="table-1")
    study.baseline({0: 0.1}, dataset="digits")
    table = table_of(study)
    assert table.rows[0].published_error_percent is None
    assert "is about mnist" in the_note(table, "No published numbers")


def test_an_unknown_published_table_is_a_note(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="table-99")
    study.baseline({0: 0.1})
    assert "`table-99`" in the_note(table_of(study), "The study file names a published table")


def test_dropout_has_both_interpretations_of_the_source(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="table-5")
    cifar: dict[str, Any] = {"dataset": "cifar10", "teacher": "nin", "student": "lenet-cifar10"}
    study.baseline({0: 0.2}, **cifar)
    study.trial(0, 0.2, **cifar, method="logit_regression", dropout=0.2)
    table = table_of(study)
    assert [row.published_error_percent for row in table.rows] == [21.94, 25.34]
    assert "published error is 25.34 %" in the_note(table, "Drop probability 0.2")
    assert "20.41 % if it is the probability of keeping" in the_note(table, "Drop probability 0.2")
