"""Searched studies from one command to their tables: real Ray, real Optuna, real MLflow."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from study.results.read import read_study
from study.tracking import schema

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
ELSEWHERE = ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "OPTUNA_STORAGE", "RAY_ADDRESS")
HERE = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
SMALL: dict[str, Any] = {
    "data": {"name": "digits"},
    "teachers": [{"network": "digits-cnn", "train": {"epochs": 2}}],
    "student": {"network": "digits-fc32"},
}


def run(folder: Path, study: dict[str, Any], **environment: str) -> dict[str, Any]:
    """Run a study to its end in a folder of its own; its table as JSON."""

    def command(*words: str) -> str:
        ran = subprocess.run(
            [NOISY_STUDY, *words],
            cwd=folder,
            env={**HERE, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    (folder / "study.yaml").write_text(yaml.safe_dump({**SMALL, **study}))
    command("run", "study.yaml")
    table: dict[str, Any] = json.loads(command("table", study["name"], "--format", "json"))
    return table


# ------------------------------------------------------------------------------- a search with everything in it

EVERYTHING = {
    "name": "everything",
    # A learning rate of 100 diverges at once, one of 0.01 learns; successive halving stops the slow ones.
    "train": {"epochs": 4, "optimizer": "sgd"},
    "baseline": {"method": "logit_regression", "search": "equal"},
    "seeds": [0, 1],
    "search": {
        "space": "sigma_alpha",
        "train": {"lr": [0.002, 0.01, 100.0]},
        "sampler": "tpe",
        "scheduler": "asha",
        "reduction_factor": 2,
        "trials": 12,
        "startup_trials": 6,
        "confirm": {"top": 2, "seeds": 3},
    },
}


@pytest.fixture(scope="module")
def journal_url(postgresql: Any) -> str:
    """The journal of this study lies in PostgreSQL."""
    return str(postgresql())


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, journal_url: str) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("everything")
    return folder, run(folder, EVERYTHING, OPTUNA_STORAGE=journal_url)


@pytest.mark.parametrize("role", ["arm", "baseline"])
def test_the_journal_and_the_tracking_server_count_the_same(
    searched: tuple[Path, dict[str, Any]], journal_url: str, role: str
) -> None:
    stage = "everything.search" if role == "arm" else "everything.search-baseline"
    states = Counter(trial.state for trial in optuna.load_study(study_name=stage, storage=journal_url).trials)
    trials = read_study(f"sqlite:///{searched[0] / 'mlflow.db'}", "everything").trials
    tracked = Counter(
        trials[(trials[f"tags.{schema.STAGE}"] == "search") & (trials[f"tags.{schema.ROLE}"] == role)][
            f"tags.{schema.OUTCOME}"
        ]
    )
    # The baseline's search has three different trainings, and need not stop one of them.
    wanted = {"completed", "diverged"} | ({"pruned"} if role == "arm" else set())
    assert wanted <= set(tracked) <= {"completed", "pruned", "diverged"}
    assert states[TrialState.COMPLETE] == tracked["completed"] + tracked["diverged"]
    assert states[TrialState.PRUNED] == tracked["pruned"]
    assert sum(states.values()) == sum(tracked.values()) == 12


def test_stopped_trial_keeps_epochs_not_checkpoint(searched: tuple[Path, dict[str, Any]], journal_url: str) -> None:
    """A stopped trial keeps its epochs in the journal and has no checkpoint left."""
    trials = optuna.load_study(study_name="everything.search", storage=journal_url).trials
    stopped = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert all(sorted(trial.intermediate_values) == [1, 2][: len(trial.intermediate_values)] for trial in stopped)
    assert all(trial.value == trial.intermediate_values[max(trial.intermediate_values)] for trial in stopped)
    assert not list(searched[0].glob(".noisy-study/studies/everything/trials/*/checkpoint*"))


def test_table_says_that_the_baseline_was_searched(
    searched: tuple[Path, dict[str, Any]],
) -> None:
    """The table comes from the confirmation and says that its baseline was searched."""
    table = searched[1]
    assert table["baseline_kind"] == "searched over lr with the budget of the arms' search"
    assert [(row["role"], row["stage"], row["n"]) for row in table["rows"]] == [
        ("baseline", "confirm", 3),
        ("arm", "confirm", 3),
        ("arm", "confirm", 3),
    ]


def test_no_search_trial_has_seen_the_test_set(searched: tuple[Path, dict[str, Any]]) -> None:
    trials = read_study(f"sqlite:///{searched[0] / 'mlflow.db'}", "everything").trials
    of_search = trials[trials[f"tags.{schema.STAGE}"] == "search"]
    assert of_search[f"metrics.{schema.TEST_ERROR}"].isna().all()
    assert set(of_search["params.seed"]).isdisjoint(
        trials.loc[trials[f"tags.{schema.STAGE}"] == "confirm", "params.seed"]
    )


def test_repeated_learning_rate_is_not_trained_again(
    searched: tuple[Path, dict[str, Any]],
) -> None:
    """The baseline's search has twelve trials and three learning rates."""
    trials = read_study(f"sqlite:///{searched[0] / 'mlflow.db'}", "everything").trials
    of_baseline = trials[(trials[f"tags.{schema.STAGE}"] == "search") & (trials[f"tags.{schema.ROLE}"] == "baseline")]
    completed = of_baseline[of_baseline[f"tags.{schema.OUTCOME}"] == "completed"]
    repeated = of_baseline[of_baseline[f"tags.{schema.REPEATS}"].notna()]
    assert len(repeated) >= 1
    assert (repeated[f"metrics.{schema.EPOCHS_TRAINED}"] == 0).all()
    trained = of_baseline.set_index(f"tags.{schema.TRIAL_ID}")
    for run in repeated.to_dict("records"):
        original = trained.loc[run[f"tags.{schema.REPEATS}"]]
        assert run["params.lr"] == original["params.lr"]
        assert run[f"tags.{schema.OUTCOME}"] == original[f"tags.{schema.OUTCOME}"]
    of_lr = completed.groupby("params.lr")[f"metrics.{schema.BEST_VAL_ERROR}"].nunique()
    assert (of_lr == 1).all()
    (line,) = (line for line in searched[1]["notes"] if "repeated a training" in line)
    assert line.startswith(f"{int(trials[f'tags.{schema.REPEATS}'].notna().sum())} trial")


@pytest.mark.slow
def test_diverged_search_advises_other_ranges(tmp_path: Path) -> None:
    """A search in which all trials diverge advises other ranges and no resume."""
    study = {
        "name": "hopeless",
        "train": {"epochs": 1, "optimizer": "sgd"},
        "seeds": [0],
        "search": {"train": {"lr": {"uniform": [50, 100]}}, "sampler": "random", "trials": 2},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**SMALL, **study}))
    ran = subprocess.run(
        [NOISY_STUDY, "run", "study.yaml"],
        cwd=tmp_path,
        env=HERE,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    last = ran.stderr.strip().splitlines()[-1]
    assert "stage search of study hopeless: all 2 trials diverged; the first: search-0000: the training loss is" in last
    assert "start another study with other ranges" in last
    assert "noisy-study resume" not in last


# ------------------------------------------------------------------------------------------ two objectives, two runs


@pytest.mark.slow
def test_two_objective_front_is_confirmed(tmp_path: Path) -> None:
    """Each student of the front is confirmed beside a baseline of its own width."""
    study = {
        "name": "widths",
        "train": {"epochs": 2},
        "seeds": [0, 1],
        "search": {
            "space": "student_width",
            "objectives": ["val_error", "multiplications"],
            "trials": 6,
            "startup_trials": 3,
            "confirm": {"top": 3},
        },
    }
    rows = run(tmp_path, study)["rows"]
    arms = [row for row in rows if row["role"] == "arm"]
    assert 1 <= len(arms) <= 3
    assert {row["student"] for row in arms} == {row["student"] for row in rows if row["role"] == "baseline"}
    if len({row["student"] for row in rows}) > 1:
        front = [row for row in rows if row["pareto"]]
        assert min(row["multiplications"] for row in rows) in [row["multiplications"] for row in front]
        assert min(rows, key=lambda row: row["test_error_mean"])["pareto"]


@pytest.mark.slow
def test_the_number_of_workers_changes_no_digit_of_a_table(tmp_path: Path) -> None:
    tables = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        study = {
            "name": "grid",
            "train": {"epochs": 2},
            "arms": [{"method": "noisy_teacher", "sigma": [0.3, {"uniform": [0.01, 1.0]}]}],
            "seeds": [0, 1, 2],
            "resources": {"workers": workers},
        }
        tables.append(run(folder, study))
    assert tables[0] == tables[1]
