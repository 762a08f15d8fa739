"""Arms that lost seeds: trainings that diverged or failed stay in the table, and their survivors are not judged."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from scipy import stats
from support.handwritten import Writer
from test_figures import Sheet

from study.config import parse_study
from study.errors import UserError
from study.export.choice import choose
from study.results.description import description
from study.results.figures import compression, curves, error_over_noise, gap, noise_lines, trial_map
from study.results.figures.chosen import by_validation
from study.results.figures.pictures import sketches_of
from study.results.formats.csv import frame
from study.results.read import read_study
from study.results.render import FORMATS, render
from study.results.report import verdict
from study.results.rows import Row, Table
from study.results.rule import Family, judge
from study.results.selection import runs_of_rows
from study.results.table import build_table, table_of
from study.tracking import schema
from study.tracking.provenance import provenance, this_start

pytest_plugins = ("support.handwritten",)

BASELINE = {0: 0.0770, 1: 0.0812, 2: 0.0795, 3: 0.0801, 4: 0.0784}
SURVIVORS = {0: 0.0655, 1: 0.0687}
"""Of five seeds; alone they would be 14.9 % better than the baseline, p 0.001."""
GOOD = {0: 0.0700, 1: 0.0730, 2: 0.0722, 3: 0.0719, 4: 0.0711}


@pytest.fixture
def study(new_study: Callable[..., Writer]) -> Writer:
    """Five seeds: a baseline, an arm that keeps all, one that lost three, one that lost all."""
    study = new_study(seeds="0,1,2,3,4")
    study.baseline(BASELINE)
    study.arm(GOOD, sigma=0.1, alpha=0.5)
    study.arm(SURVIVORS, sigma=0.3, alpha=0.5)
    lost(study, 2, 3, 4, sigma=0.3, alpha=0.5)
    lost(study, 0, 1, 2, 3, 4, sigma=0.9, alpha=0.5)
    return study


def lost(study: Writer, *seeds: int, outcome: str = "diverged", **params: Any) -> None:
    for seed in seeds:
        study.trial(seed, None, outcome=outcome, **params)


@pytest.fixture
def table(uri: str, study: Writer) -> Table:
    return build_table(uri, study.name)


def row(table: Table, **wanted: object) -> Row:
    """The only row whose own attributes, or those of its arm, have these values."""

    def matches(each: Row) -> bool:
        return all(getattr(each if hasattr(each, name) else each.arm, name) == value for name, value in wanted.items())

    (found,) = filter(matches, table.rows)
    return found


def note(table: Table, beginning: str) -> list[str]:
    return [line for line in table.notes if line.startswith(beginning)]


def numbers(row: Row) -> list[object]:
    """Everything that a row without a mean does not have."""
    names = ("test_error_mean", "test_error_ci95", "improvement_percent", "improvement_ci95", "p_value", "p_corrected")
    return [getattr(row, name) for name in names]


# ------------------------------------------------------------------------------------------------------- the table


def test_every_arm_has_a_row_with_its_planned_and_lost_seeds(table: Table) -> None:
    counts = [(row.arm.sigma, row.n, row.n_planned, row.n_diverged, row.n_failed, row.verdict) for row in table.rows]
    assert counts == [
        (None, 5, 5, 0, 0, "baseline"),
        (0.1, 5, 5, 0, 0, "better"),
        (0.3, 2, 5, 3, 0, "seeds_lost"),
        (0.9, 0, 5, 5, 0, "seeds_lost"),
    ]


def test_a_row_that_lost_a_seed_keeps_its_errors_and_has_no_mean(table: Table) -> None:
    three, all_of_them = row(table, sigma=0.3), row(table, sigma=0.9)
    assert numbers(three) == numbers(all_of_them) == [None] * 6
    assert (three.errors, all_of_them.errors) == (SURVIVORS, {})
    assert note(table, "Seeds lost") == [
        "Seeds lost, so no mean and no verdict: noisy_teacher σ=0.3 α=0.5 (fc800), seeds 2, 3, 4 diverged; test errors "
        "of the others: seed 0 6.55 %, seed 1 6.87 %.",
        "Seeds lost, so no mean and no verdict: noisy_teacher σ=0.9 α=0.5 (fc800), seeds 0, 1, 2, 3, 4 diverged; no "
        "seed has a test error.",
    ]


def test_a_lost_arm_counts_in_the_correction(table: Table) -> None:
    good = row(table, sigma=0.1)
    p = stats.ttest_rel(list(BASELINE.values()), list(GOOD.values())).pvalue
    assert good.p_value == pytest.approx(p)
    family = Family(3)
    (judged,) = judge(list(BASELINE.values()), [[error] for error in GOOD.values()], family)
    assert good.p_corrected == judged.p_corrected
    assert (good.p_corrected or 0) > p
    assert "for the 3 arms of this table" in note(table, "Improvement")[0]


def test_json_has_null_for_what_a_lost_row_does_not_have(table: Table) -> None:
    document = json.loads(render(table, "json"))
    three = document["rows"][2]
    assert (three["n"], three["n_planned"], three["n_diverged"], three["verdict"]) == (2, 5, 3, "seeds_lost")
    assert three["errors"] == {"0": 0.0655, "1": 0.0687}
    assert [three[name] for name in ("test_error_mean", "p_value", "p_corrected", "p_holm")] == [None] * 4
    assert document["rows"][3]["errors"] == {}


def test_csv_has_a_column_of_errors_for_every_seed(table: Table) -> None:
    back = pd.read_csv(io.StringIO(render(table, "csv")))
    columns = [f"error_seed_{seed}" for seed in range(5)]
    assert [name for name in back.columns if name.startswith("error_seed")] == columns
    assert back[columns].iloc[1].tolist() == list(GOOD.values())
    assert back[columns].iloc[2].dropna().tolist() == list(SURVIVORS.values())
    assert back["rule"].unique().tolist() == ["guarded-dunnett"]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_that_seeds_were_lost(table: Table, format: str) -> None:
    for width in (40, 80, 160) if format == "text" else (None,):
        text = " ".join(render(table, format, width).replace("seeds\\_lost", "seeds lost").split())
        assert "seeds lost" in text or text.count("seeds_lost") == 2


def test_people_read_how_many_of_the_planned_seeds_a_row_has(table: Table) -> None:
    assert "2 of 5" in render(table, "text", 160)


def test_lost_baseline_seed_withholds_the_verdict(uri: str, new_study: Callable[..., Writer]) -> None:
    """A baseline that lost a seed leaves its arms without a verdict."""
    study = new_study(seeds="0,1,2,3,4")
    study.baseline({seed: error for seed, error in BASELINE.items() if seed != 3})
    lost(study, 3, role="baseline", outcome="failed")
    study.arm(GOOD, sigma=0.1, alpha=0.5)
    table = build_table(uri, study.name)
    baseline, arm = table.rows
    assert (baseline.n, baseline.n_failed, baseline.test_error_mean, baseline.verdict) == (4, 1, None, "baseline")
    assert (arm.improvement_percent, arm.p_value, arm.p_corrected, arm.verdict) == (None, None, None, "seeds_lost")
    assert arm.test_error_mean == pytest.approx(sum(GOOD.values()) / 5)
    assert "seed 3 failed" in note(table, "Seeds lost")[0]
    assert note(table, "If a baseline lost a seed")


def test_lost_seeds_do_not_affect_other_students(uri: str, new_study: Callable[..., Writer]) -> None:
    """A student is judged whatever the baseline of another student lost."""
    study = new_study(seeds="0,1,2,3,4")
    study.baseline(BASELINE)
    study.arm(GOOD, sigma=0.1, alpha=0.5)
    lost(study, 0, 1, 2, 3, 4, role="baseline", student="wide")
    study.arm(GOOD, sigma=0.1, alpha=0.5, student="wide")
    table = build_table(uri, study.name)
    assert [row.verdict for row in table.rows] == ["baseline", "better", "baseline", "seeds_lost"]
    assert (row(table, student="fc800", role="arm").p_corrected or 0) == pytest.approx(
        2 * (row(table, student="fc800", role="arm").p_value or 0)
    )


def test_a_failed_training_that_is_trained_again_is_not_lost(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1,2")
    study.baseline({0: 0.1, 1: 0.2, 2: 0.3})
    lost(study, 0, 1, sigma=0.3, alpha=0.5, outcome="failed")
    study.arm({2: 0.3}, sigma=0.3, alpha=0.5)
    study.trial(0, 0.05, sigma=0.3, alpha=0.5)
    study.trial(1, None, outcome=None, sigma=0.3, alpha=0.5)
    arm = build_table(uri, study.name).rows[1]
    assert (arm.n, arm.n_planned, arm.n_failed, arm.errors) == (2, 3, 0, {0: 0.05, 2: 0.3})
    assert arm.verdict == "two_seeds"


def test_latest_run_of_a_seed_counts_if_diverged(uri: str, new_study: Callable[..., Writer]) -> None:
    """The latest run of a seed counts even when it is the one that diverged."""
    study = new_study(seeds="0")
    study.trial(0, 0.1, sigma=0.3, alpha=0.5)
    lost(study, 0, sigma=0.3, alpha=0.5)
    (arm,) = build_table(uri, study.name).rows
    assert (arm.n, arm.n_diverged, arm.errors) == (0, 1, {})


def test_a_seed_that_has_not_ended_leaves_its_row_incomplete(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1,2,3,4")
    study.baseline(BASELINE)
    study.arm({0: 0.07, 1: 0.073, 2: 0.072}, sigma=0.1, alpha=0.5)
    study.trial(3, None, outcome=None, sigma=0.1, alpha=0.5)
    study.trial(0, None, outcome=None, sigma=0.3, alpha=0.5)
    _, arm, running = build_table(uri, study.name).rows
    assert (arm.n, arm.n_planned, arm.n_diverged, arm.n_failed) == (3, 5, 0, 0)
    assert arm.p_value == pytest.approx(stats.ttest_rel(list(BASELINE.values())[:3], list(arm.errors.values())).pvalue)
    assert (running.n, running.n_planned, running.verdict) == (0, 5, "no_common_seed")
    errors = [[error] for error in arm.errors.values()]
    (judged,) = judge(list(BASELINE.values())[:3], errors, Family(2))
    assert arm.p_corrected == judged.p_corrected


def test_planned_seeds_default_to_those_seen(uri: str, new_study: Callable[..., Writer]) -> None:
    """If the parent run does not name them, the planned seeds are those of the student and stage."""
    study = new_study()
    study.baseline({0: 0.1, 1: 0.2, 2: 0.3})
    study.arm({0: 0.1, 1: 0.2}, sigma=0.3, alpha=0.5)
    study.arm({7: 0.1, 8: 0.1}, stage="confirm", sigma=0.4, alpha=0.5)
    study.arm({0: 0.1}, student="other", sigma=0.3, alpha=0.5)
    rows = build_table(uri, study.name).rows
    assert [(row.arm.student, row.stage, row.n, row.n_planned) for row in rows] == [
        ("fc800", "grid", 3, 5),
        ("fc800", "grid", 2, 3),
        ("fc800", "confirm", 2, 2),
        ("other", "grid", 1, 1),
    ]


def test_confirmed_rows_are_planned_over_the_confirmations_seeds(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1", confirm_seeds="0,1,3,4")
    study.baseline({0: 0.1, 1: 0.2})
    study.baseline({3: 0.1}, stage="confirm")
    study.arm({0: 0.1, 1: 0.2}, sigma=0.3, alpha=0.5)
    study.arm({0: 0.1, 1: 0.1}, stage="confirm", sigma=0.4, alpha=0.5)
    rows = build_table(uri, study.name).rows
    assert [(row.arm.role, row.stage, row.n, row.n_planned) for row in rows] == [
        ("baseline", "grid", 3, 4),
        ("arm", "grid", 2, 2),
        ("arm", "confirm", 2, 4),
    ]


def test_a_study_tracks_the_seeds_of_its_confirmation() -> None:
    study: dict[str, Any] = {
        "name": "a",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn"}],
        "student": {"network": "FC10"},
        "seeds": [0, 1],
    }
    searched = parse_study(json.dumps({**study, "search": {"trials": 3, "confirm": {"seeds": 4}}}), "a test")
    params, _ = provenance(searched, "digest", this_start())
    assert (params[schema.SEEDS], params[schema.CONFIRM_SEEDS]) == ("0,1", "0,1,3,4")
    planned = parse_study(json.dumps({**study, "arms": [{"method": "noisy_teacher", "sigma": 0.5}]}), "a test")
    assert schema.CONFIRM_SEEDS not in provenance(planned, "digest", this_start())[0]


def test_seeds_of_the_parent_that_are_no_numbers_are_named(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,one")
    study.baseline({0: 0.1})
    with pytest.raises(UserError, match="parent run: parameter `seeds` is `one`, not a number"):
        build_table(uri, study.name)


def test_a_lost_row_has_no_time_to_its_target(uri: str, client: MlflowClient, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1")
    run = study.trial(0, 0.1, sigma=0.3, alpha=0.5, target_error=0.2)
    client.log_metric(run, schema.EPOCHS_TO_TARGET, 3)
    client.log_metric(run, schema.SECONDS_TO_TARGET, 1.5)
    lost(study, 1, sigma=0.3, alpha=0.5, target_error=0.2)
    (arm,) = build_table(uri, study.name).rows
    assert arm.speed is not None
    assert (arm.speed.reached, arm.speed.epochs, arm.speed.seconds) == (1, None, None)


def test_a_lost_row_is_not_on_the_front(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1")
    study.baseline({0: 0.2, 1: 0.21})
    study.arm({0: 0.01}, sigma=0.3, alpha=0.5, student="narrow", multiplications=1000)
    lost(study, 1, sigma=0.3, alpha=0.5, student="narrow", multiplications=1000)
    table = build_table(uri, study.name)
    costs = {row.arm.student: row.cost for row in table.rows}
    assert [cost and cost.pareto for cost in costs.values()] == [True, None]
    assert "Left out: 1 row without a mean error." in note(table, "Front")[0]


# --------------------------------------------------------------------------------- report, export, pictures, MLflow


def validation_errors(study: Writer, client: MlflowClient, errors: Mapping[str, float]) -> None:
    """Best validation errors of all runs of a σ."""
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id], "tags.`noisy_study.kind` = 'trial'"):
        client.log_metric(run.info.run_id, schema.BEST_VAL_ERROR, errors.get(run.data.params["sigma"], 0.5), step=2)


def test_survivors_are_never_chosen_for_export(uri: str, client: MlflowClient, study: Writer) -> None:
    validation_errors(study, client, {"0.3": 0.01, "0.1": 0.3})
    choice = choose(read_study(uri, study.name))
    assert choice.row.arm.sigma == 0.1
    assert choice.seeds == (0, 1, 2, 3, 4)


def test_where_every_row_lost_seeds_nothing_is_exported(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(seeds="0,1")
    study.arm({0: 0.1}, sigma=0.3, alpha=0.5)
    lost(study, 1, sigma=0.3, alpha=0.5)
    with pytest.raises(UserError, match="every row with a completed student lost seeds"):
        choose(read_study(uri, study.name))


def test_the_runs_of_a_row_are_those_with_an_error(uri: str, study: Writer) -> None:
    assert [sorted(runs) for runs in runs_of_rows(read_study(uri, study.name))] == [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [0, 1],
        [],
    ]


def test_survivors_do_not_head_the_report(uri: str, client: MlflowClient, study: Writer) -> None:
    validation_errors(study, client, {"0.3": 0.01, "0.1": 0.3})
    tracked = read_study(uri, study.name)
    said = verdict(table_of(tracked), by_validation(tracked))
    assert said.outcome == "better"
    assert "σ = 0.1" in said.sentence
    assert said.sentence.endswith("; 2 arms lost seeds and have no verdict.")
    assert "seeds lost" in description(table_of(tracked), by_validation(tracked), "1")


def test_a_study_of_lost_arms_alone_has_no_verdict(uri: str, new_study: Callable[..., Writer]) -> None:
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


def test_error_over_noise_leaves_lost_rows_out_and_says_so() -> None:
    (found,) = noise_lines.noise_lines_of(table_of(sheet_with_a_lost_arm().tracked()))
    assert [row.arm.sigma for row in found.rows] == [0.1, 0.5]
    sketch = error_over_noise.sketch(found, several=False, published=None)
    assert "Left out: 1 row that lost seeds to trainings that diverged or failed." in sketch.caption
    sketch.finish()


def test_a_map_does_not_colour_the_survivors_of_a_lost_arm() -> None:
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


def test_the_gap_is_not_told_from_survivors() -> None:
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


def test_error_against_compression_shows_no_survivors() -> None:
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


def test_every_picture_of_a_study_with_a_lost_baseline_is_drawn() -> None:
    sheet = sheet_with_a_lost_arm()
    sheet.train(9, None, None, outcome="failed", role="baseline")
    tracked = sheet.tracked()
    table, validation = table_of(tracked), by_validation(tracked)
    drawn = sketches_of(tracked, table, validation, sheet.histories).finish()
    assert drawn.pictures
    assert frame(table)["test_error_mean"].isna().tolist() == [True, False, False, True]


def test_the_command_prints_a_table_with_lost_rows(
    uri: str, study: Writer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from study.terminal.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("sys.argv", ["noisy-study", "table", study.name, "--format", "json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (None, 0)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["verdict"] for row in rows] == ["baseline", "better", "seeds_lost", "seeds_lost"]
