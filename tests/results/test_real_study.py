"""The table of a study that really ran: three teachers of one name, an arm that lost a seed, an arm that lost all.

The table is compared with pandas over MLflow's own `search_runs`. No number is written down here.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.ran import Ran, ran_study, small_study

from study.errors import UserError
from study.export.card import card
from study.export.choice import choose
from study.export.latency import Latency
from study.export.student import logits_on
from study.export.weights import open_student, open_teachers
from study.results.rule import Family, by_seed, judge
from study.results.table import build_table
from study.terminal.cli import main

pytest_plugins = ("support.ran",)

TEACHER = "digits-cnn"
TRAININGS: tuple[dict[str, Any], ...] = ({"epochs": 2}, {"epochs": 1}, {"epochs": 2, "weight_decay": 0.1})
SEEDS = (0, 1, 2)


def arm(**keys: Any) -> dict[str, Any]:
    return {"method": "noisy_teacher", "sigma": 0.5, **keys}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Some seeds diverge at the learning rate 2.3, while the others collapse to one class; at 50 all diverge."""
    folder = tmp_path_factory.mktemp("real")
    teachers = [{"network": TEACHER, "train": train} for train in TRAININGS]
    config = small_study(
        name="real",
        teachers=teachers[:1],
        student={"network": "FC100-FC10"},
        arms=[
            arm(),
            *(arm(teachers=[teacher]) for teacher in teachers[1:]),
            arm(train={"optimizer": "sgd", "lr": [2.3, 50]}),
        ],
        seeds=list(SEEDS),
    )
    return ran_study(config, folder, folder)


@pytest.fixture(scope="module")
def runs(ran: Ran) -> pd.DataFrame:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(ran.uri)
    try:
        found = mlflow.search_runs(experiment_names=[ran.name])
    finally:
        mlflow.set_tracking_uri(before)
    assert isinstance(found, pd.DataFrame)
    return found


@pytest.fixture
def document(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """What `noisy-study table real --format json` prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ran.uri)
    monkeypatch.setattr("sys.argv", ["noisy-study", "table", ran.name, "--format", "json"])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (None, 0)
    made: dict[str, Any] = json.loads(capfd.readouterr().out)
    return made


def students(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["tags.noisy_study.kind"] == "trial"]


def test_the_table_is_what_pandas_makes_of_the_runs(runs: pd.DataFrame, document: dict[str, Any]) -> None:
    trials = students(runs)
    expected = {
        (str(role), str(key), float(str(lr))): group.set_index(group["params.seed"].astype(int)).sort_index()
        for (role, key, lr), group in trials.groupby(["tags.noisy_study.role", "params.teacher_key", "params.lr"])
    }
    rows = {(row["role"], row["teacher_key"], float(row["lr"])): row for row in document["rows"]}
    assert rows.keys() == expected.keys()
    assert len(rows) == 1 + 3 + 2

    (baseline,) = [group for key, group in expected.items() if key[0] == "baseline"]
    of_baseline = baseline["metrics.test_error"]
    arms = {key: group for key, group in expected.items() if key[0] == "arm"}
    whole = {key: group for key, group in arms.items() if group["tags.noisy_study.outcome"].eq("completed").all()}
    p_values = {
        key: float(stats.ttest_rel(of_baseline, group["metrics.test_error"]).pvalue) for key, group in whole.items()
    }
    columns = [of_baseline, *(group["metrics.test_error"] for group in whole.values())]
    matrix = by_seed(SEEDS, [dict(zip(SEEDS, map(float, each), strict=True)) for each in columns])
    judged = dict(zip(whole, judge(matrix[:, 0], matrix[:, 1:], Family(len(arms))), strict=True))
    for key, group in expected.items():
        row, errors = rows[key], group["metrics.test_error"]
        outcomes = group["tags.noisy_study.outcome"].value_counts()
        assert row["n"] == outcomes.get("completed", 0)
        assert row["n_planned"] == len(SEEDS)
        assert row["n_diverged"] == outcomes.get("diverged", 0)
        assert row["errors"] == {str(seed): error for seed, error in errors.dropna().items()}
        if key[0] == "baseline":
            assert row["test_error_mean"] == pytest.approx(errors.mean())
            assert row["verdict"] == "baseline"
        elif key in whole:
            assert row["test_error_mean"] == pytest.approx(errors.mean())
            assert row["improvement_percent"] == pytest.approx((1 - errors.mean() / of_baseline.mean()) * 100)
            assert row["p_value"] == pytest.approx(p_values[key])
            corrected = judged[key].p_corrected
            assert corrected is not None
            assert row["p_corrected"] == row["p_holm"] == pytest.approx(corrected)
            decided = "better" if errors.mean() < of_baseline.mean() else "worse"
            assert row["verdict"] == (decided if corrected < 0.05 else "undecided")
        else:
            names = ("test_error_mean", "test_error_ci95", "improvement_percent", "p_value", "p_corrected")
            assert [row[name] for name in names] == [None] * 5
            assert row["verdict"] == "seeds_lost"
    lost = sorted(row["n_diverged"] for row in rows.values() if row["n_diverged"])
    assert len(lost) == 2
    assert 0 < lost[0] < lost[1] == len(SEEDS)


def test_teachers_of_one_name_have_separate_rows(ran: Ran, document: dict[str, Any]) -> None:
    """Teachers of one name are rows of their own, and each row says what differs."""
    table = build_table(ran.uri, ran.name)
    rows = [row for row in table.rows if row.arm.role == "arm" and not row.is_lost]
    assert [row.arm.teacher for row in rows] == [TEACHER] * 3
    assert [row.teacher_label for row in rows] == [
        "digits-cnn (epochs 2, weight_decay 0)",
        "digits-cnn (epochs 1, weight_decay 0)",
        "digits-cnn (epochs 2, weight_decay 0.1)",
    ]
    assert len({row.arm.teacher_key for row in rows}) == 3
    assert {row.test_error_mean for row in rows} == {
        np.mean(list(row["errors"].values()))
        for row in document["rows"]
        if row["role"] == "arm" and row["verdict"] != "seeds_lost"
    }


def test_every_teacher_has_its_own_note(runs: pd.DataFrame, document: dict[str, Any]) -> None:
    notes = [note for note in document["notes"] if note.startswith("Teacher ")]
    teachers = runs[runs["tags.noisy_study.kind"] == "teacher"].sort_values("start_time")
    assert notes == [
        f"Teacher digits-cnn (epochs {run['params.epochs']}, weight_decay {float(run['params.weight_decay']):g}): test "
        f"error {run['metrics.test_error'] * 100:.2f} %"
        f"{', predicts one class only' if run['metrics.predicted_classes'] == 1 else ''}."
        for _, run in teachers.iterrows()
    ]


def test_networks_that_collapsed_are_named_and_stay(runs: pd.DataFrame, document: dict[str, Any]) -> None:
    trials = students(runs)
    collapsed = trials[trials["metrics.predicted_classes"] == 1]
    named = [note for note in document["notes"] if note.startswith("Predicts one class only")]
    assert len(named) == (not collapsed.empty)
    for seed in collapsed["params.seed"]:
        assert seed in named[0]
    completed = trials[trials["tags.noisy_study.outcome"] == "completed"]
    assert completed["metrics.predicted_classes"].between(1, 10).all()
    assert set(collapsed["params.seed"]) <= {seed for row in document["rows"] for seed in row["errors"]}


def test_what_is_exported_lost_no_seed(ran: Ran) -> None:
    assert choose(ran.tracked).row.verdict in ("baseline", "better", "worse", "undecided")


@pytest.mark.parametrize("place", range(len(TRAININGS)))
def test_the_card_has_the_teacher_of_the_students_key(ran: Ran, place: int) -> None:
    tracked = ran.tracked
    teacher = tracked.teachers.iloc[place]
    key = teacher["params.teacher_key"]
    best = (tracked.trials["params.teacher_key"] == key) & (tracked.trials["tags.noisy_study.role"] == "arm")
    errors = tracked.trials["metrics.best_val_error"].mask(best & (tracked.trials["params.lr"] != "2.3"), 0.0)
    choice = choose(dataclasses.replace(tracked, trials=tracked.trials.assign(**{"metrics.best_val_error": errors})))
    assert choice.teacher_key == key
    opened = open_student(choice, ran.root, ran.data_root)
    (network,) = open_teachers(opened, ran.root, ran.data_root)
    wrong = logits_on(network.network, opened.images).argmax(axis=1) != opened.labels
    assert float(wrong.mean()) == pytest.approx(teacher["metrics.test_error"])
    text = card(opened, [], [], None, Latency({"student": {1: 1.0}}, 1)).replace("\\", "")
    label = f"digits-cnn (epochs {teacher['params.epochs']}, weight_decay {float(teacher['params.weight_decay']):g})"
    assert f"- Teacher: {label} (key `{key}`)." in text
    assert f"learned from {label}." in text


def test_a_run_without_a_key_is_not_given_the_teacher_of_another(ran: Ran) -> None:
    choice = dataclasses.replace(choose(ran.tracked), teacher_key=None)
    opened = open_student(choice, ran.root, ran.data_root)
    with pytest.raises(UserError, match="has 3 teachers digits-cnn; it can be measured only if"):
        open_teachers(opened, ran.root, ran.data_root)
