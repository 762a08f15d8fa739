"""A resume on a disk without room: one line, whatever comes first, and a resume that works when there is room."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from support.full_disk import small_disk
from support.started import STUDY
from support.without_ray import Trained

from study.config import parse_study
from study.errors import NoisyStudyError
from study.running import service
from study.running.journal import open_storage
from study.running.service import Settings, resume, start
from study.running.watcher import Watcher
from study.storage import StudyFolder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")


@pytest.fixture
def settings(settings_without_ray: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A study that has started lies on a small disk."""
    with small_disk(tmp_path / "disk", "2m"):
        settings = replace(settings_without_ray, root=tmp_path / "disk" / "root")
        with pytest.raises(Trained):
            start(parse_study(STUDY, "study.yaml"), settings, Watcher())
        # The journal has a stage, whose owner a resume writes down.
        journal = open_storage(StudyFolder(settings.root, "mine").own_journal)
        optuna.create_study(storage=journal, study_name="mine.grid")
        yield settings


def _fill(disk: Path) -> None:
    filled = subprocess.run(
        ["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=4096"], capture_output=True, check=False
    )
    assert b"No space left" in filled.stderr


def _resume_fails_in_one_line(settings: Settings) -> None:
    with pytest.raises(NoisyStudyError, match=r"disk is full|No space left on device") as failed:
        resume("mine", settings, Watcher())
    assert "OPTUNA_STORAGE" not in str(failed.value)
    (settings.root.parent / "filler").unlink()
    with pytest.raises(Trained):
        resume("mine", settings, Watcher())


def test_a_disk_that_is_full_when_a_resume_starts(settings: Settings) -> None:
    _fill(settings.root.parent)
    _resume_fails_in_one_line(settings)


@pytest.mark.parametrize("step", ["keep_code", "opened_outbox", "provenance"])
def test_a_disk_that_is_full_after_a_step(settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The first is the one before the journal is claimed."""
    act: Callable[..., object] = getattr(service, step)

    def then_fill(*args: object) -> object:
        done = act(*args)
        monkeypatch.setattr(service, step, act)
        _fill(settings.root.parent)
        return done

    monkeypatch.setattr(service, step, then_fill)
    _resume_fails_in_one_line(settings)
