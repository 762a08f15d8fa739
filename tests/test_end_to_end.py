"""A study from one command to its table: real Ray, real Optuna, real MLflow, as a user starts it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState
from PIL import Image
from support.disturbed import PROGRESS

from study.config import dump_study, parse_study

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
SMALL = [
    *("--set", "teachers.0.train.epochs=3", "--set", "train.epochs=3"),
    *("--set", "arms.0.sigma=[0.2, 0.8]", "--set", "seeds=[0, 1, 2]"),
    *("--set", "search.trials=4", "--set", "search.startup_trials=2"),
]

Command = Callable[..., subprocess.CompletedProcess[str]]


ELSEWHERE = ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "RAY_ADDRESS")
HERE = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}


def command_in(folder: Path) -> Command:
    """Runs `noisy-study` in a folder of its own."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [NOISY_STUDY, *words],
            cwd=folder,
            env={**HERE, "COLUMNS": "140"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call


class Finished:
    """A study that one command ran to its table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = command_in(folder)
        self.ran = self.command("run", "quickstart-search", *SMALL)
        assert self.ran.returncode == 0, self.ran.stderr
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"

    def runs(self, kind: str) -> pd.DataFrame:
        mlflow.set_tracking_uri(self.uri)
        found = mlflow.search_runs(
            experiment_names=["quickstart-search"],
            filter_string=f"tags.`noisy_study.kind` = '{kind}'",
            max_results=1000,
        )
        assert isinstance(found, pd.DataFrame)
        return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("finished"))


def test_a_run_prints_its_table_and_nothing_else(finished: Finished) -> None:
    assert finished.ran.stdout.strip() == finished.command("table", "quickstart-search").stdout.strip()
    assert finished.ran.stdout.startswith("quickstart-search")


def test_neither_ray_nor_mlflow_prints(finished: Finished) -> None:
    lines = finished.ran.stderr.split("\n")
    assert any(line.startswith("confirm: ") for line in lines)
    assert [line for line in lines if not PROGRESS.match(line)] == [
        "the best student: quickstart-search-student version 1, champion",
        "",
        "verdict and figures as a page: noisy-study report quickstart-search",
        "browse the trials: noisy-study ui   (experiment quickstart-search)",
        "",
    ]


def test_table_has_baseline_sigmas_and_searched_point(finished: Finished) -> None:
    """The table has the baseline, each sigma and the searched point."""
    rows = json.loads(finished.command("table", "quickstart-search", "--format", "json").stdout)["rows"]
    assert [(row["role"], row["stage"], row["n"]) for row in rows] == [
        ("baseline", "grid", 3),
        ("arm", "grid", 3),
        ("arm", "grid", 3),
        ("arm", "confirm", 3),
    ]
    assert [row["sigma"] for row in rows[:3]] == [None, 0.2, 0.8]
    assert all(row["improvement_percent"] is not None for row in rows[1:])


def test_the_json_table_equals_a_recomputation_with_pandas(finished: Finished) -> None:
    rows = json.loads(finished.command("table", "quickstart-search", "--format", "json").stdout)["rows"]
    runs = finished.runs("trial")
    runs = runs[runs["tags.noisy_study.stage"].isin(["grid", "confirm"])]
    baseline = runs[runs["tags.noisy_study.role"] == "baseline"].set_index("params.seed")["metrics.test_error"]
    arms = runs[runs["tags.noisy_study.role"] == "arm"].groupby(["params.sigma", "params.alpha"])["metrics.test_error"]
    printed = {(str(row["sigma"]), str(row["alpha"])): row for row in rows[1:]}
    assert rows[0]["test_error_mean"] == pytest.approx(baseline.mean(), abs=1e-12)
    assert set(printed) == set(arms.groups)
    for (sigma, alpha), errors in ((map(str, key), errors) for key, errors in arms):
        row = printed[sigma, alpha]
        assert row["n"] == len(errors)
        assert row["test_error_mean"] == pytest.approx(errors.mean(), abs=1e-12)
        improvement = (baseline.mean() - errors.mean()) / baseline.mean() * 100
        assert row["improvement_percent"] == pytest.approx(improvement, abs=1e-9)


def test_every_trial_is_a_child_run_with_the_schema_s_names(finished: Finished) -> None:
    parent = finished.runs("study").iloc[0]
    trials = finished.runs("trial")
    assert parent["status"] == "FINISHED"
    assert (trials["tags.mlflow.parentRunId"] == parent["run_id"]).all()
    assert trials["tags.noisy_study.trial_id"].is_unique
    assert (trials["tags.noisy_study.outcome"] == "completed").all()
    assert (trials["status"] == "FINISHED").all()
    for name in ("dataset", "teacher", "student", "method", "sigma", "sigma_mode", "noise", "alpha", "seed"):
        assert trials[f"params.{name}"].notna().all(), name
    for name in ("multiplications", "parameters", "teacher_multiplications", "epochs", "lr", "batch_size"):
        assert trials[f"params.{name}"].notna().all(), name
    for name in ("train_loss", "val_error", "images_per_second", "best_val_error", "best_epoch", "train_seconds"):
        assert trials[f"metrics.{name}"].notna().all(), name
    assert "σ=0.80 α=0.50 seed 1" in set(trials["tags.mlflow.runName"])


def test_search_trials_never_see_the_test_set(finished: Finished) -> None:
    trials = finished.runs("trial")
    searched = trials["tags.noisy_study.stage"] == "search"
    assert searched.sum() == 4
    assert trials.loc[searched, "metrics.test_error"].isna().all()
    assert trials.loc[~searched, "metrics.test_error"].notna().all()


def test_every_epoch_is_there_once_with_its_step(finished: Finished) -> None:
    client = mlflow.MlflowClient(finished.uri)
    for run_id in finished.runs("trial")["run_id"]:
        assert [metric.step for metric in client.get_metric_history(run_id, "val_error")] == [1, 2, 3]


def test_the_teacher_is_a_run_of_its_own(finished: Finished) -> None:
    teachers = finished.runs("teacher")
    assert list(teachers["params.teacher"]) == ["digits-cnn"]
    assert teachers["metrics.test_error"].between(0, 1).all()


def test_parent_run_suffices_to_rerun_the_study(finished: Finished) -> None:
    """The parent run holds what it takes to run the study again."""
    parent = finished.runs("study").iloc[0]
    wrong = finished.command("run", "--from-run", parent["run_id"], "--set", "name=../x")
    assert wrong.returncode == 2  # the file was read: its name is what is refused
    assert f"run {parent['run_id']}: name" in wrong.stderr
    text = mlflow.artifacts.load_text(f"{parent['artifact_uri']}/study.yaml")
    config = parse_study(text, "artifact")
    assert dump_study(config) == (finished.folder / ".noisy-study/studies/quickstart-search/study.yaml").read_text()
    assert len(parent["params.data_digest"]) == 64
    assert parent["tags.noisy_study.version.torch"]


@pytest.mark.slow
def test_a_study_run_again_from_its_parent_run_gives_its_table(finished: Finished) -> None:
    parent = finished.runs("study").iloc[0]["run_id"]
    words = ["--from-run", parent, "--name", "again", "--set", "search="]
    ran = finished.command("run", *words)
    assert ran.returncode == 0, ran.stderr
    first, second = (
        json.loads(finished.command("table", name, "--format", "json").stdout)["rows"]
        for name in ("quickstart-search", "again")
    )
    assert _without_correction(second) == _without_correction(first[:3])


def test_parent_run_has_inputs_and_best_student(finished: Finished) -> None:
    """The parent run has the data as inputs and the best student as output."""
    client = mlflow.MlflowClient(finished.uri)
    parent = client.get_run(finished.runs("study").iloc[0]["run_id"])
    assert parent.inputs is not None
    assert parent.outputs is not None
    assert {entry.dataset.name for entry in parent.inputs.dataset_inputs} == {
        "digits train",
        "digits validation",
        "digits test",
    }
    version = client.get_model_version_by_alias("quickstart-search-student", "champion")
    assert [output.model_id for output in parent.outputs.model_outputs] == [version.tags["model_id"]]
    assert "quickstart-search: improvement over the baseline" in parent.data.tags["mlflow.note.content"]


def test_the_journal_is_an_optuna_study_that_knows_every_trial(finished: Finished) -> None:
    storage = f"sqlite:///{finished.folder}/.noisy-study/studies/quickstart-search/journal.db"
    for stage, count in (("teacher", 1), ("grid", 9), ("search", 4), ("confirm", 3)):
        trials = optuna.load_study(study_name=f"quickstart-search.{stage}", storage=storage).trials
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * count


def test_a_name_belongs_to_one_study(finished: Finished) -> None:
    again = finished.command("run", "quickstart-search")
    assert again.returncode == 2
    assert "noisy-study resume quickstart-search" in again.stderr
    assert again.stderr.count("\n") == 1


def test_resuming_a_finished_study_adds_nothing(finished: Finished) -> None:
    """Resuming a finished study prints the same table."""
    before = finished.runs("trial")
    resumed = finished.command("resume", "quickstart-search")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == finished.ran.stdout
    pd.testing.assert_frame_equal(finished.runs("trial"), before)


def test_status_counts_the_trials_of_every_stage(finished: Finished) -> None:
    shown = finished.command("status", "quickstart-search").stdout
    assert [line.split()[2:4] for line in shown.splitlines()[1:]] == [["grid", "9"], ["search", "4"], ["confirm", "3"]]


@pytest.mark.slow
def test_a_second_study_takes_the_teacher_of_the_first(finished: Finished) -> None:
    ran = finished.command(
        "run", "quickstart-search", *SMALL, "--name", "second", "--set", "search=", "--set", "seeds=[7]"
    )
    assert ran.returncode == 0, ran.stderr
    weights = list((finished.folder / ".noisy-study" / "teachers").glob("*/weights.safetensors"))
    assert len(weights) == 1


@pytest.mark.faults
def test_killed_driver_does_not_change_the_table(finished: Finished, tmp_path: Path) -> None:
    """Also: one worker gives what two give."""
    grid_alone = [*SMALL, "--set", "resources.workers=1", "--set", "search="]
    process = subprocess.Popen(
        [NOISY_STUDY, "run", "quickstart-search", *grid_alone],
        cwd=tmp_path,
        env=HERE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(tmp_path / ".noisy-study/studies/quickstart-search/trials/grid-0002/result.json", process)
    process.kill()
    process.communicate()

    resumed = command_in(tmp_path)("resume", "quickstart-search")
    assert resumed.returncode == 0, resumed.stderr
    runs = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = runs.get_experiment_by_name("quickstart-search")
    assert experiment is not None
    tracked = runs.search_runs([experiment.experiment_id], "tags.`noisy_study.kind` = 'trial'")
    assert sorted(run.data.tags["noisy_study.trial_id"] for run in tracked) == [f"grid-{n:04d}" for n in range(9)]
    assert {run.info.status for run in tracked} == {"FINISHED"}
    (parent,) = runs.search_runs([experiment.experiment_id], "tags.`noisy_study.kind` = 'study'")
    assert sum(name.startswith("noisy_study.start.") for name in parent.data.tags) == 2, "the start and the resume"

    mended = json.loads(command_in(tmp_path)("table", "quickstart-search", "--format", "json").stdout)["rows"]
    undisturbed = json.loads(finished.command("table", "quickstart-search", "--format", "json").stdout)["rows"][:3]
    assert _without_correction(mended) == _without_correction(undisturbed)


def _without_correction(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The rule reads the spread from all arms of a table, and corrects for their number. So what it says depends on
    the other arms."""
    by_rule = ("p_corrected", "p_holm", "verdict", "improvement_ci95", "detectable_percent")
    return [{**row, **dict.fromkeys(by_rule)} for row in rows]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for part, count in (("train", 30), ("test", 10)):
        for label, name in enumerate(("cat", "dog", "eel")):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (8, 8), (label * 100, index * 8, 30)).save(folder / f"{index}.png")
    return tmp_path / "pictures"


def test_a_study_on_a_folder_of_images_runs_to_its_table(tmp_path: Path, pictures: Path) -> None:
    study = {
        "name": "pictures",
        "data": {"name": "image_folder", "path": str(pictures)},
        "teachers": [{"network": "[C3(S1P1)@4-MP2(S2)]-FC3", "train": {"epochs": 2}}],
        "student": {"network": "FC3"},
        "train": {"epochs": 2},
        "arms": [{"method": "noisy_teacher", "sigma": {"uniform": [0.01, 1]}}],
        "seeds": [0],
    }
    (tmp_path / "pictures.yaml").write_text(yaml.safe_dump(study))
    ran = command_in(tmp_path)("run", "pictures.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "one seed" in ran.stdout


def _wait_for(file: Path, process: "subprocess.Popen[str]", seconds: float = 120) -> None:
    """Poll until a file is there; the process must not end before."""
    import time

    deadline = time.monotonic() + seconds
    while not file.exists():
        assert process.poll() is None, "the study ended early"
        assert time.monotonic() < deadline, f"no {file} after {seconds} s"
        time.sleep(0.05)
