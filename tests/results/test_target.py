"""Epochs and seconds to a target error: means over the seeds that reached it, and how many did."""

from collections.abc import Callable
from typing import Any

import pytest
from support.handwritten import COMMON, Writer

from study.results.formats.csv import frame
from study.results.formats.json import as_json
from study.results.render import render
from study.results.rows import Speed
from study.results.table import build_table
from study.tracking import schema

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]


def _trial(study: Writer, seed: int, reached: tuple[int, float] | None, role: str = "arm", **params: Any) -> None:
    metrics = {schema.TEST_ERROR: 0.1 + seed / 100}
    if reached is not None:
        metrics |= {schema.EPOCHS_TO_TARGET: reached[0], schema.SECONDS_TO_TARGET: reached[1]}
    tags = {schema.KIND: "trial", schema.PARENT: study.parent, schema.ROLE: role, schema.STAGE: "grid"}
    settings = {"sigma": 0.0, "alpha": 0.0, **params, "target_error": 0.02, "seed": seed}
    study.run({**tags, schema.OUTCOME: "completed"}, {**COMMON, **settings}, metrics)


@pytest.fixture
def raced(new_study: NewStudy) -> Writer:
    study = new_study()
    for seed, reached in enumerate([(6, 60.0), (8, 84.0)]):
        _trial(study, seed, reached, role="baseline", method="labels")
    for seed, fast in enumerate([(3, 33.0), None]):
        _trial(study, seed, fast, sigma=0.5, alpha=0.5)
    for seed in (0, 1):
        _trial(study, seed, None, sigma=0.9, alpha=0.5)
    return study


def test_row_has_means_of_the_seeds_that_reached_it(raced: Writer, uri: str) -> None:
    """A row has the means of the seeds that reached the target, and their number."""
    table = build_table(uri, raced.name)
    assert [row.speed for row in table.rows] == [Speed(2, 7.0, 72.0), Speed(1, 3.0, 33.0), Speed(0, None, None)]
    rows = as_json(table)["rows"]
    assert [(row["reached_target"], row["epochs_to_target"], row["seconds_to_target"]) for row in rows] == [
        (2, 7.0, 72.0),
        (1, 3.0, 33.0),
        (0, None, None),
    ]
    assert list(frame(table)["reached_target"]) == [2, 1, 0]


def test_a_reader_sees_how_many_reached_it_where_not_all_did(raced: Writer, uri: str) -> None:
    lines = render(build_table(uri, raced.name), "md").splitlines()
    heading, cells = next(line for line in lines if "to target |" in line), [line for line in lines if "| 2 |" in line]
    assert "epochs to target | s to target" in heading
    assert [line.split("|")[-3:-1] for line in cells] == [
        [" 7.0 ", " 72.0 "],
        [" 3.0 (1 of 2) ", " 33.0 "],
        ["  (0 of 2) ", "  "],
    ]
    assert any("until the validation error was at most 2.00 %" in line for line in lines)


def test_a_study_without_a_target_says_nothing_of_it(new_study: NewStudy, uri: str) -> None:
    study = new_study()
    study.baseline({0: 0.1})
    table = build_table(uri, study.name)
    assert table.rows[0].speed is None
    assert "reached_target" not in as_json(table)["rows"][0]
    assert "to target" not in render(table, "md")
