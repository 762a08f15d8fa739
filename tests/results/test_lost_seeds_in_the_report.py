"""Seeds that were lost, in the export, the report and its figures: the remaining seeds never stand for the arm."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from mlflow import MlflowClient
from support.handwritten import Writer
from support.lost_seeds import lost
from support.sheet import Sheet

from study.errors import UserError
from study.export.choice import choose
from study.results.description import description
from study.results.figures import compression, curves, error_over_noise, gap, noise_lines, trial_map
from study.results.figures.chosen import by_validation
from study.results.figures.pictures import sketches_of
from study.results.formats.csv import frame
from study.results.read import read_study
from study.results.report import verdict
from study.results.selection import runs_of_rows
from study.results.table import table_of
from study.tracking import schema

pytest_plugins = ("support.handwritten", "support.lost_seeds")


def validation_errors(study: Writer, client: MlflowClient, errors: Mapping[str, float]) -> None:
    """Best validation errors of all runs of a σ."""
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id], "tags.`noisy_study.kind` = 'trial'"):
        client.log_metric(run.info.run_id, schema.BEST_VAL_ERROR, errors.get(run.data.params["sigma"], 0.5), step=2)


def test_a_row_that_lost_seeds_is_never_exported(uri: str, client: MlflowClient, study_with_lost_seeds: Writer) -> None:
    validation_errors(study_with_lost_seeds, client, {"0.3": 0.01, "0.1": 0.3})
    choice = choose(read_study(uri, study_with_lost_seeds.name))
    assert choice.row.arm.sigma == 0.1
    assert choice.seeds == (0, 1, 2, 3, 4)


def test_nothing_is_exported_if_every_row_lost_seeds(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1")
    study.arm({0: 0.1}, sigma=0.3, alpha=0.5)
    lost(study, 1, sigma=0.3, alpha=0.5)
    with pytest.raises(UserError, match="every row with a completed student lost seeds"):
        choose(read_study(uri, study.name))


def test_the_runs_of_a_row_are_those_with_an_error(uri: str, study_with_lost_seeds: Writer) -> None:
    assert [sorted(runs) for runs in runs_of_rows(read_study(uri, study_with_lost_seeds.name))] == [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [0, 1],
        [],
    ]


def test_the_verdict_is_not_of_a_row_that_lost_seeds(
    uri: str, client: MlflowClient, study_with_lost_seeds: Writer
) -> None:
    validation_errors(study_with_lost_seeds, client, {"0.3": 0.01, "0.1": 0.3})
    tracked = read_study(uri, study_with_lost_seeds.name)
    said = verdict(table_of(tracked), by_validation(tracked))
    assert said.outcome == "better"
    assert "σ = 0.1" in said.sentence
    assert said.sentence.endswith("; 2 arms lost seeds and have no verdict.")
    assert "seeds lost" in description(table_of(tracked), by_validation(tracked), "1")


def test_a_study_of_only_lost_arms_has_no_verdict(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1")
    study.baseline({0: 0.1, 1: 0.2})
    lost(study, 0, 1, sigma=0.3, alpha=0.5)
    tracked = read_study(uri, study.name)
    said = verdict(table_of(tracked), by_validation(tracked))
    assert said.outcome == "unknown"
    assert "lost seeds to trainings that diverged or failed" in said.sentence


def sheet_with_a_lost_arm(**params: Any) -> Sheet:
    """A grid over σ whose best point by its only survivor is σ = 0.9."""
    sheet = Sheet().grid({(0, 0): 0.10, (0.1, 0.5): 0.09, (0.5, 0.5): 0.11}, **params)
    sheet.train(0, 0.01, 0.01, sigma=0.9, alpha=0.5, history=(0.5, 0.3, 0.01), **params)
    sheet.train(1, None, None, outcome="diverged", sigma=0.9, alpha=0.5, **params)
    return sheet


def test_error_over_noise_leaves_out_and_counts_lost_rows() -> None:
    (found,) = noise_lines.noise_lines_of(table_of(sheet_with_a_lost_arm().tracked()))
    assert [row.arm.sigma for row in found.rows] == [0.1, 0.5]
    sketch = error_over_noise.sketch(found, several=False, published=None)
    assert "Left out: 1 row that lost seeds to trainings that diverged or failed." in sketch.caption
    sketch.finish()


def test_a_map_does_not_colour_a_lost_arm() -> None:
    sheet = sheet_with_a_lost_arm()
    sheet.train(0, 0.2, 0.2, sigma=0.5, alpha=0.1)
    (found,) = trial_map.maps_of(sheet.tracked())
    assert 0.9 not in {spot.sigma for spot in found.coloured}
    assert {spot.sigma for spot in found.of("failed", "grid")} == {0.9}
    assert trial_map.sketch(found, several=False).title.startswith("Lowest validation error, 9.")


def test_a_lost_arm_has_no_learning_curve() -> None:
    sheet = sheet_with_a_lost_arm()
    (plan,) = curves.plans_of(sheet.tracked())
    assert {arm.settings.get(schema.SIGMA) for arm in plan.arms} == {"0.0", "0.1", "0.5"}


def test_the_gap_leaves_out_lost_rows() -> None:
    sheet = Sheet()
    for student in ("narrow", "wide"):
        sheet.grid({(0, 0): 0.10, (0.1, 0.5): 0.09, (0.5, 0.5): 0.11}, student=student)
        sheet.train(0, 0.01, 0.01, sigma=0.9, alpha=0.5, student=student)
        sheet.train(1, None, None, outcome="diverged", sigma=0.9, alpha=0.5, student=student)
    sheet.teacher("lenet-mnist", 0.05)
    tracked = sheet.tracked()
    found = gap.gap_of(tracked, table_of(tracked), by_validation(tracked))
    assert found is not None
    assert {student.best for student in found.students} == {(0.1, 0.5)}
    assert "Left out: 2 rows that lost seeds" in gap.sketch(found).caption


def test_error_against_compression_leaves_out_lost_rows() -> None:
    sheet = Sheet()
    for student, cost in (("narrow", 100_000), ("wide", 900_000)):
        sheet.grid({(0, 0): 0.10, (0.1, 0.5): 0.09}, student=student, multiplications=cost)
        sheet.train(0, 0.01, 0.01, sigma=0.9, alpha=0.5, student=student, multiplications=cost)
        sheet.train(1, None, None, outcome="diverged", sigma=0.9, alpha=0.5, student=student, multiplications=cost)
    tracked = sheet.tracked()
    found = compression.compression_of(table_of(tracked), by_validation(tracked))
    assert found is not None
    assert {student.chosen.arm.sigma for student in found.students if student.chosen} == {0.1}
    assert not any(row.arm.sigma == 0.9 for student in found.students for row in student.others)
    assert "Left out: 2 rows that lost seeds" in compression.sketch(found, None).caption
    compression.sketch(found, None).finish()


def test_a_study_with_a_lost_baseline_has_figures() -> None:
    sheet = sheet_with_a_lost_arm()
    sheet.train(9, None, None, outcome="failed", role="baseline")
    tracked = sheet.tracked()
    table, validation = table_of(tracked), by_validation(tracked)
    drawn = sketches_of(tracked, table, validation, sheet.histories).finish()
    assert drawn.pictures
    assert frame(table)["test_error_mean"].isna().tolist() == [True, False, False, True]
