"""Going on with a study: what must not have changed meanwhile."""

from pathlib import Path

import pytest

from study.config import dump_study, parse_study
from study.data.load import load_dataset
from study.distill.logit_store import file_digest
from study.errors import UserError
from study.running.service import Settings, resume
from study.running.watcher import Watcher
from study.storage import StartRecord, StudyFolder

STUDY = """
name: mine
data: {name: digits}
teachers: [{network: FC10, weights: teacher.safetensors}]
student: {network: FC10}
arms: [{method: noisy_teacher, sigma: 0.5}]
seeds: [0]
"""


def test_students_keep_their_first_teacher(workspace: Path) -> None:
    """All students of a study learn from the same teacher."""
    weights = workspace / "teacher.safetensors"
    weights.write_bytes(b"one teacher")
    config = parse_study(STUDY, "study.yaml")
    settings = Settings("sqlite:///mlflow.db", workspace)
    folder = StudyFolder(settings.root, config.name)
    digest = load_dataset(config.data, workspace).digest
    record = StartRecord(
        study_file=dump_study(config),
        tracking_uri=settings.tracking_uri,
        journal=folder.own_journal,
        data_digest=digest,
        weights={weights.name: file_digest(weights)},
    )
    folder.claim(record)
    weights.write_bytes(b"another teacher")
    with pytest.raises(UserError, match=r"teacher\.safetensors has changed since study mine started"):
        resume("mine", settings, Watcher())


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("arms.0.sigma", "sigma: 0.5", "sigma: [0.5, 0.7]"),
        ("seeds", "- 0", "- 1"),
        ("train.epochs", "epochs: 60", "epochs: 61"),
    ],
)
def test_a_study_file_that_was_edited_is_refused(workspace: Path, key: str, before: str, after: str) -> None:
    folder, settings = _claimed(workspace)
    text = folder.study_file.read_text(encoding="utf-8")
    head, _, tail = text.rpartition(before)
    folder.study_file.write_text(f"{head}{after}{tail}", encoding="utf-8")
    with pytest.raises(UserError, match=f"`{key}.*` is not what study mine started with; undo the change"):
        resume("mine", settings, Watcher())


def test_a_folder_of_an_older_version_is_refused_in_one_line(workspace: Path) -> None:
    folder, settings = _claimed(workspace)
    (folder.path / "start.json").unlink()
    (folder.path / "tracking-uri").write_text(settings.tracking_uri, encoding="utf-8")
    with pytest.raises(UserError, match=r"made by another version of this package \(folder format 0"):
        resume("mine", settings, Watcher())
    assert folder.tracking_uri() == settings.tracking_uri, "its table can still be read"


def _claimed(workspace: Path) -> tuple[StudyFolder, Settings]:
    """A study that has started, and trained nothing."""
    config = parse_study(STUDY.replace(", weights: teacher.safetensors", ""), "study.yaml")
    settings = Settings("sqlite:///mlflow.db", workspace)
    folder = StudyFolder(settings.root, config.name)
    folder.claim(
        StartRecord(
            study_file=dump_study(config),
            tracking_uri=settings.tracking_uri,
            journal=folder.own_journal,
            data_digest=load_dataset(config.data, workspace).digest,
            weights={},
        )
    )
    return folder, settings
