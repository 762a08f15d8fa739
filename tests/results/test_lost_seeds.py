"""Arms that lost seeds: trainings that diverged or failed stay in the table, without a mean and a verdict."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from scipy import stats
from support.handwritten import Writer
from support.lost_seeds import BASELINE, GOOD, SURVIVORS, lost
from support.tables import notes, the_row

from study.config import parse_study
from study.errors import UserError
from study.results.render import FORMATS, render
from study.results.rows import Row, Table
from study.results.rule import Family, judge
from study.results.table import build_table
from study.tracking import schema
from study.tracking.provenance import provenance, this_start

pytest_plugins = ("support.handwritten", "support.lost_seeds")


@pytest.fixture
def table(uri: str, study_with_lost_seeds: Writer) -> Table:
    return build_table(uri, study_with_lost_seeds.name)


def numbers(row: Row) -> list[object]:
    """Everything that a row without a mean does not have."""
    names = ("test_error_mean", "test_error_ci95", "improvement_percent", "improvement_ci95", "p_value", "p_corrected")
    return [getattr(row, name) for name in names]


def test_every_arm_has_a_row_with_its_planned_and_lost_seeds(table: Table) -> None:
    counts = [(row.arm.sigma, row.n, row.n_planned, row.n_diverged, row.n_failed, row.verdict) for row in table.rows]
    assert counts == [
        (None, 5, 5, 0, 0, "baseline"),
        (0.1, 5, 5, 0, 0, "better"),
        (0.3, 2, 5, 3, 0, "seeds_lost"),
        (0.9, 0, 5, 5, 0, "seeds_lost"),
    ]


def test_a_row_that_lost_a_seed_keeps_its_errors_and_has_no_mean(table: Table) -> None:
    three, all_of_them = the_row(table, sigma=0.3), the_row(table, sigma=0.9)
    assert numbers(three) == numbers(all_of_them) == [None] * 6
    assert (three.errors, all_of_them.errors) == (SURVIVORS, {})
    assert notes(table, "Seeds lost") == [
        "Seeds lost, so no mean and no verdict: noisy_teacher σ=0.3 α=0.5 (fc800), seeds 2, 3, 4 diverged; test errors "
        "of the others: seed 0 6.55 %, seed 1 6.87 %.",
        "Seeds lost, so no mean and no verdict: noisy_teacher σ=0.9 α=0.5 (fc800), seeds 0, 1, 2, 3, 4 diverged; no "
        "seed has a test error.",
    ]


def test_a_lost_arm_counts_in_the_correction(table: Table) -> None:
    good = the_row(table, sigma=0.1)
    p = stats.ttest_rel(list(BASELINE.values()), list(GOOD.values())).pvalue
    assert good.p_value == pytest.approx(p)
    family = Family(3)
    (judged,) = judge(list(BASELINE.values()), [[error] for error in GOOD.values()], family)
    assert good.p_corrected == judged.p_corrected
    assert (good.p_corrected or 0) > p
    assert "for the 3 arms of this table" in notes(table, "Improvement")[0]


def test_json_has_null_for_the_numbers_of_a_lost_row(table: Table) -> None:
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


def test_text_shows_the_number_of_planned_seeds(table: Table) -> None:
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
    assert "seed 3 failed" in notes(table, "Seeds lost")[0]
    assert notes(table, "If a baseline lost a seed")


def test_lost_seeds_do_not_affect_other_students(uri: str, new_study: Callable[..., Writer]) -> None:
    """A student is judged whatever the baseline of another student lost."""
    study = new_study(seeds="0,1,2,3,4")
    study.baseline(BASELINE)
    study.arm(GOOD, sigma=0.1, alpha=0.5)
    lost(study, 0, 1, 2, 3, 4, role="baseline", student="wide")
    study.arm(GOOD, sigma=0.1, alpha=0.5, student="wide")
    table = build_table(uri, study.name)
    assert [row.verdict for row in table.rows] == ["baseline", "better", "baseline", "seeds_lost"]
    assert (the_row(table, student="fc800", role="arm").p_corrected or 0) == pytest.approx(
        2 * (the_row(table, student="fc800", role="arm").p_value or 0)
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


def test_planned_seeds_default_to_the_tracked_seeds(uri: str, new_study: Callable[..., Writer]) -> None:
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


def test_confirmed_rows_have_the_seeds_of_the_confirmation(uri: str, new_study: Callable[..., Writer]) -> None:
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


def test_seeds_of_the_parent_must_be_numbers(uri: str, new_study: Callable[..., Writer]) -> None:
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
    assert "Left out: 1 row without a mean error." in notes(table, "Front")[0]


def test_the_command_prints_a_table_with_lost_rows(
    uri: str,
    study_with_lost_seeds: Writer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from study.terminal.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("sys.argv", ["noisy-study", "table", study_with_lost_seeds.name, "--format", "json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (None, 0)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["verdict"] for row in rows] == ["baseline", "better", "seeds_lost", "seeds_lost"]
