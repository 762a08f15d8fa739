"""`rm`, `status --json` and `validate`: what they print, and what they ask before something is lost."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.started import started

from study.lookup import local_studies
from study.running.service import Settings
from study.storage import DEFAULT_ROOT, StudyFolder
from study.terminal.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `noisy-study` with these words; returns status, standard output and standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["noisy-study", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def folder(workspace: Path, own_store: str) -> StudyFolder:
    return started("mine", Settings(own_store, workspace))


def test_a_removal_is_confirmed_without_a_terminal(folder: StudyFolder, command: Command) -> None:
    status, _, err = command("rm", "mine")
    assert (status, err.count("\n")) == (2, 1)
    assert "confirm it with --yes" in err
    status, _, err = command("rm", "mine", "--yes")
    assert status == 0
    assert err.startswith("removed study mine (")
    assert local_studies() == []


def test_results_that_only_this_folder_has_are_not_lost(folder: StudyFolder, command: Command) -> None:
    with closing(sqlite3.connect(folder.outbox)) as outbox, outbox:
        outbox.execute("CREATE TABLE event (number INTEGER PRIMARY KEY, body TEXT)")
        outbox.execute("INSERT INTO event (body) VALUES ('{}')")
    status, _, err = command("rm", "mine", "--yes")
    assert status == 2
    assert "send what is missing with `noisy-study sync mine`" in err
    assert folder.exists()
    assert command("rm", "mine", "--yes", "--force")[0] == 0


def test_status_for_programs_has_states_and_bytes(folder: StudyFolder, command: Command) -> None:
    status, out, _ = command("status", "--json")
    assert status == 0
    found = json.loads(out)
    (study,) = found["studies"]
    assert study["study"] == "mine"
    assert study["state"] == "running"
    assert study["stages"] == [
        {"stage": "teachers", "trials": {}, "epochs": None, "best_val_error": None, "best_trial": None}
    ]
    assert study["bytes"] > 1000
    assert found["bytes"]["folder"] == str(DEFAULT_ROOT.absolute())
    assert found["bytes"]["free"] > 0
    assert found["bytes"]["logits"] == 0


@pytest.mark.parametrize(
    ("setting", "needs"),
    [("resources.gpus_per_trial=1", "1 CPUs and 1 GPUs"), ("resources.cpus_per_trial=1000", "1000 CPUs and 0 GPUs")],
)
def test_validate_says_that_a_trial_does_not_fit_here(
    workspace: Path, command: Command, monkeypatch: pytest.MonkeyPatch, setting: str, needs: str
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    status, out, err = command("validate", "quickstart", "--set", setting)
    assert status == 0, "a cluster may have room"
    assert out.startswith("name: quickstart")
    assert f"a trial needs {needs}, but this machine has" in err
    assert err.rstrip().endswith("or run the study on a cluster")
