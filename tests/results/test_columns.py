"""Every format takes its columns from one list."""

import io
import json

import pandas as pd
import pytest
from test_render import ARM, BASE, table_of

from study.results import columns
from study.results.columns import Column
from study.results.formats.json import as_json
from study.results.render import render
from study.results.rows import Row


def test_a_new_column_is_one_entry_and_in_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody should have to edit a format to add a column."""
    lost = Column("seeds left", lambda row: f"{row.n} seeds", name="seeds_left", value=lambda row: row.n)
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, lost))
    table = table_of(BASE, ARM)
    for format in ("text", "md", "latex", "html"):
        written = render(table, format, 200) if format == "text" else render(table, format)
        assert "seeds left" in written, format
        assert written.count("3 seeds") == 2, format
    assert [row["seeds_left"] for row in json.loads(render(table, "json"))["rows"]] == [3, 3]
    assert pd.read_csv(io.StringIO(render(table, "csv")))["seeds_left"].tolist() == [3, 3]


def test_csv_without_rows_has_the_columns_of_one_with_rows() -> None:
    """Only the errors of the seeds are missing, because a table without rows has no seeds."""
    empty = pd.read_csv(io.StringIO(render(table_of(), "csv")))
    filled = pd.read_csv(io.StringIO(render(table_of(ARM), "csv")))
    assert list(empty) == [name for name in map(str, filled) if not name.startswith("error_seed_")]


def test_a_row_has_its_arm_and_json_has_the_arms_fields() -> None:
    """Programs read these keys, in this order, from before a row had an arm."""
    assert list(as_json(table_of(ARM))["rows"][0]) == [
        "role",
        "stage",
        "student",
        "teacher",
        "teacher_key",
        "method",
        "sigma",
        "sigma_mode",
        "noise",
        "reading",
        "alpha",
        "n",
        "n_planned",
        "n_diverged",
        "n_failed",
        "errors",
        "test_error_mean",
        "test_error_ci95",
        "improvement_percent",
        "improvement_ci95",
        "p_value",
        "p_corrected",
        "verdict",
        "detectable_percent",
        "compression_ratio",
        "published_error_percent",
        "published_improvement_percent",
        "p_holm",
    ]
    row = as_json(table_of(ARM))["rows"][0]
    assert {name: row[name] for name in ("role", "student", "method", "sigma", "noise", "alpha")} == {
        "role": "arm",
        "student": ARM.arm.student,
        "method": "noisy_teacher",
        "sigma": 0.6,
        "noise": "fresh",
        "alpha": 0.5,
    }


@pytest.mark.parametrize("rows", [(), (BASE, ARM)], ids=["no rows", "two rows"])
def test_no_two_columns_of_a_program_have_the_same_name(rows: tuple[Row, ...]) -> None:
    names = [column.name for column in columns.for_programs(rows)]
    assert len(names) == len(set(names))
    declared = [entry.name for entry in columns.COLUMNS if isinstance(entry, Column) and entry.name]
    assert len(declared) == len(set(declared))
