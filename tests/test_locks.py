"""Locks on files: a file system without them is named, and a held lock is seen without taking it."""

import errno
import fcntl
from pathlib import Path

import pytest

from study.errors import TrackingUnavailable, UserError
from study.locks import file_lock, held, is_held
from study.running.service import locked
from study.storage import StudyFolder
from study.tracking.address import answering, first_opening


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, simulated at the lowest point: the system call `flock` fails as it does there."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("without_locks")
def test_file_system_without_locks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}: this file system does not lock files"), held(tmp_path / "lock"):
        raise AssertionError


@pytest.mark.usefixtures("without_locks")
def test_tracking_server_is_not_blamed_for_locks(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(UserError, match="does not lock files") as raised, answering(uri), first_opening(uri):
        raise AssertionError
    assert not isinstance(raised.value, TrackingUnavailable)


@pytest.mark.usefixtures("without_locks")
def test_study_folder_without_locks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not lock files"), locked(StudyFolder(tmp_path, "small")):
        raise AssertionError


def test_held_lock_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert not is_held(file)
    with held(file):
        assert is_held(file)
        with pytest.raises(TimeoutError):
            file_lock(file).acquire(timeout=0)
    assert not is_held(file)
