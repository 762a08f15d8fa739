"""A study is removed whole or not at all, and what other studies use stays."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from support.started import started

from study.errors import TrackingUnavailable, UserError
from study.locks import held
from study.lookup import local_studies
from study.results.read import read_study
from study.running.journal import open_storage
from study.running.removal import remove
from study.running.service import Settings
from study.storage import DEFAULT_ROOT, StudyFolder
from study.terminal.cli.rm import rm
from study.tracking.events import Event, StudyEnded
from study.tracking.outbox import Outbox


@pytest.fixture
def settings(workspace: Path, own_store: str) -> Settings:
    return Settings(own_store, workspace, root=workspace / "root")


@pytest.fixture
def folder(settings: Settings) -> StudyFolder:
    """A study that has started and is tracked."""
    return started("mine", settings)


def test_a_removed_study_is_gone_and_teachers_stay(folder: StudyFolder, settings: Settings) -> None:
    teacher = settings.root / "teachers" / "key" / "weights.safetensors"
    teacher.parent.mkdir(parents=True)
    teacher.write_bytes(b"weights")
    remove("mine", settings)
    assert local_studies(settings.root) == []
    assert list(folder.path.parent.iterdir()) == []
    assert teacher.exists()
    assert read_study(settings.tracking_uri, "mine").tags, "the runs stay"


def test_tracked_runs_are_deleted_on_request(folder: StudyFolder, settings: Settings) -> None:
    remove("mine", settings, tracked=True)
    client = MlflowClient(settings.tracking_uri)
    assert client.get_experiment_by_name("mine") is None, "the name is free"
    kept = [each.name for each in client.search_experiments(view_type=2)]
    assert any(name.startswith("mine (removed ") for name in kept), "MLflow can restore it"


def test_a_running_study_is_not_removed(folder: StudyFolder, settings: Settings) -> None:
    with held(folder.lock), pytest.raises(UserError, match="another process runs study mine"):
        remove("mine", settings)
    assert folder.exists()


def test_an_unknown_study_is_not_removed(folder: StudyFolder, settings: Settings) -> None:
    with pytest.raises(UserError, match="no study named mime"):
        remove("mime", settings)
    assert folder.exists()


def test_stages_in_a_shared_journal_are_removed(workspace: Path, own_store: str) -> None:
    journal = f"sqlite:///{workspace / 'shared.db'}"
    settings = Settings(own_store, workspace, journal, root=workspace / "root")
    storage = open_storage(journal)
    for name in ("mine", "other"):
        started(name, settings)
        optuna.create_study(storage=storage, study_name=f"{name}.grid")
    remove("mine", settings)
    assert optuna.get_all_study_names(storage) == ["other.grid"]
    assert local_studies(settings.root) == ["other"]


def test_events_of_a_killed_study_are_not_lost(folder: StudyFolder, settings: Settings, tmp_path: Path) -> None:
    """The event of a killed process is in the log beside the outbox, and the database has nothing yet."""

    def unavailable(events: Sequence[Event]) -> None:
        raise TrackingUnavailable("away")

    outbox = Outbox(tmp_path / "outbox.db", unavailable, lambda line: None)
    outbox.put(StudyEnded(status="FAILED", timestamp_ms=1))
    for file in tmp_path.glob("outbox.db*"):
        shutil.copy(file, folder.path / file.name)
    outbox.close(0)
    with pytest.raises(UserError, match="does not have 1 of its events; send what is missing"):
        remove("mine", settings)
    assert folder.exists()
    remove("mine", settings, force=True)
    assert not folder.exists()


def test_a_damaged_outbox_is_not_taken_for_an_empty_one(folder: StudyFolder, settings: Settings) -> None:
    folder.outbox.write_bytes(b"no database")
    with pytest.raises(UserError, match="its outbox cannot be read"):
        remove("mine", settings)
    assert folder.exists()


def test_a_killed_removal_is_finished_by_the_next(folder: StudyFolder, settings: Settings) -> None:
    left = folder.path.with_name(".before.0000.removed")
    left.mkdir()
    (left / "journal.db").write_bytes(b"")
    remove("mine", settings)
    assert list(folder.path.parent.iterdir()) == []


@pytest.mark.parametrize("content", [None, '{"format": 99, "tracking_uri": "sqlite:///mlflow.db"}', "{"])
def test_a_study_whose_record_cannot_be_read_is_removed(
    folder: StudyFolder, settings: Settings, content: str | None
) -> None:
    """Folders of the first version have no record, and one of a later version or a damaged one is not understood."""
    record = folder.path / "start.json"
    if content is None:
        record.unlink()
    else:
        record.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"was made by another version .* its own; remove the folder alone, without --"):
        remove("mine", settings, tracked=True)
    with pytest.raises(UserError, match=r"stages in a shared journal .* remove the folder alone, without OPTUNA"):
        remove("mine", replace(settings, optuna_storage="sqlite:///shared.db"))
    assert folder.exists()
    remove("mine", settings)
    assert local_studies(settings.root) == []
    assert read_study(settings.tracking_uri, "mine").tags, "the runs stay"


def test_the_command_removes_a_study_of_a_damaged_record(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.path.parents[1].rename(DEFAULT_ROOT)
    damaged = StudyFolder(DEFAULT_ROOT, "mine")
    (damaged.path / "start.json").write_text("{", encoding="utf-8")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    rm("mine", yes=True)
    assert not damaged.exists()


def test_a_study_of_another_version_says_where_it_is_tracked(folder: StudyFolder, settings: Settings) -> None:
    """So that its table can be read."""
    record = folder.path / "start.json"
    record.write_text(record.read_text().replace('"format": 1', '"format": 99'), encoding="utf-8")
    assert folder.tracking_uri() == settings.tracking_uri
