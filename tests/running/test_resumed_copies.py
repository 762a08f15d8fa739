"""Which folder may resume a study: the id in its folder, its journal and on the server, and copies of the folder."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from optuna.storages import BaseStorage
from support.reopened import Reopened
from support.started import STUDY

from study.config import dump_study, parse_study
from study.data.load import load_dataset
from study.errors import UserError
from study.planning.plan import grid_trials
from study.running.claims import claim_journal
from study.running.journal import StageJournal
from study.running.ownership import resumed_ownership
from study.running.service import Settings, resume, start
from study.running.sources import Planned
from study.running.watcher import Watcher
from study.storage import Ownership, StartRecord, StudyFolder
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

CONFIG = parse_study(STUDY, "study.yaml")
BEGAN = StudyBegan(study_file=STUDY, params={"dataset": "digits"}, tags={})


pytestmark = pytest.mark.usefixtures("own_store")


def claimed(workspace: Path, ownership: Ownership | None = None) -> tuple[StudyFolder, Settings]:
    """A study that has started, and trained nothing."""
    settings = Settings(f"sqlite:///{workspace / 'mlflow.db'}", workspace, root=workspace / ".noisy-study")
    folder = StudyFolder(settings.root, "mine")
    folder.claim(
        StartRecord(
            study_file=dump_study(CONFIG),
            tracking_uri=settings.tracking_uri,
            journal=folder.own_journal,
            data_digest=load_dataset(CONFIG.data, workspace).digest,
            weights={},
            ownership=ownership or folder.new_ownership(),
        )
    )
    return folder, settings


def copied(folder: StudyFolder, root: Path) -> StudyFolder:
    copy = StudyFolder(root, folder.name)
    shutil.copytree(folder.path, copy.path)
    return copy


def known(folder: StudyFolder) -> Ownership:
    found = folder.start_record().ownership
    assert found is not None
    return found


def test_a_resume_adds_a_token_and_keeps_the_id(workspace: Path) -> None:
    folder, settings = claimed(workspace)
    before = known(folder)
    after = resumed_ownership(folder, folder.start_record(), settings.tracking_uri)
    folder.start_again(folder.start_record(), after)
    assert known(folder).study_id == before.study_id
    assert known(folder).tokens[:-1] == before.tokens


def test_a_folder_without_an_id_gets_one_at_its_resume(workspace: Path) -> None:
    folder, settings = claimed(workspace)
    record = folder.start_record().model_copy(update={"ownership": None})
    assert resumed_ownership(folder, record, settings.tracking_uri).study_id


def test_a_copy_of_a_study_that_runs_is_refused(workspace: Path) -> None:
    folder, settings = claimed(workspace)
    copy = copied(folder, workspace / "copy")
    with FileLock(folder.lock), pytest.raises(UserError, match="is being run there now") as refusal:
        resumed_ownership(copy, copy.start_record(), settings.tracking_uri)
    assert str(folder.path) in str(refusal.value)


def test_a_stale_copy_is_refused_before_anything_is_made(workspace: Path) -> None:
    folder, settings = claimed(workspace)
    copy = copied(folder, workspace / "copy")
    resumed = resumed_ownership(folder, folder.start_record(), settings.tracking_uri)
    TrackingClient(settings.tracking_uri, "mine", resumed).apply([BEGAN])
    files = sorted(copy.path.rglob("*"))
    with pytest.raises(UserError, match="after this folder was copied or restored"):
        resume("mine", Settings(settings.tracking_uri, workspace, root=workspace / "copy"), Watcher())
    assert [path for path in sorted(copy.path.rglob("*")) if path.name != "lock"] == files


def test_a_moved_study_may_be_resumed(workspace: Path) -> None:
    folder, settings = claimed(workspace)
    TrackingClient(settings.tracking_uri, "mine", known(folder)).apply([BEGAN])
    moved = StudyFolder(workspace / "moved", "mine")
    shutil.move(folder.root, moved.root)
    assert resumed_ownership(moved, moved.start_record(), settings.tracking_uri).place == moved.place


def test_a_resume_is_refused_where_the_server_has_another(workspace: Path) -> None:
    folder, settings = claimed(workspace)
    other = StudyFolder(workspace / "other", "mine").new_ownership()
    TrackingClient(settings.tracking_uri, "mine", other).apply([BEGAN])
    with pytest.raises(UserError, match="has another study named mine"):
        resume("mine", settings, Watcher())
    assert len(known(folder).tokens) == 1


class Said(Watcher):
    """Keeps the lines for the user."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def says(self, message: str) -> None:
        self.lines.append(message)


def test_a_start_that_loses_the_race_leaves_no_folder(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both studies looked for the name while it was free. The error is all that the loser's user reads."""
    settings = Settings(f"sqlite:///{workspace / 'mlflow.db'}", workspace, root=workspace / ".noisy-study")
    monkeypatch.setattr("study.running.service._refuse_tracked_name", lambda *_: None)
    other = StudyFolder(workspace / "other", "mine").new_ownership()
    TrackingClient(settings.tracking_uri, "mine", other).apply([BEGAN])
    watcher = Said()
    with pytest.raises(UserError, match="has another study named mine"):
        start(CONFIG, settings, watcher)
    assert watcher.lines == []
    assert not StudyFolder(settings.root, "mine").path.exists()


def stage(storage: BaseStorage, owner: Ownership | None) -> StageJournal:
    return StageJournal(storage, "s", "grid", Planned(grid_trials(CONFIG)), owner=owner)


def test_a_journal_of_another_study_is_refused(storage: Reopened, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "s")
    stage(storage(), folder.new_ownership())
    with pytest.raises(UserError, match="has another study named s"):
        stage(storage(), folder.new_ownership())
    with pytest.raises(UserError, match="has another study named s"):
        claim_journal(storage(), "s", folder.new_ownership())
    claim_journal(storage(), "another", folder.new_ownership())


def test_a_shared_journal_goes_by_the_last_start(storage: Reopened, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "s")
    first = folder.new_ownership()
    stage(storage(), None)
    claim_journal(storage(), "s", first)
    claim_journal(storage(), "s", first.started_in(folder))
    with pytest.raises(UserError, match="after this folder was copied or restored"):
        claim_journal(storage(), "s", first.started_in(folder))
