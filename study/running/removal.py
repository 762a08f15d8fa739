"""Removes a study: its folder, its stages in a shared journal, and on request its experiment on the tracking server.

Works on a study's folder and two addresses. Teachers and logits stay, because other studies may use them. If a removal
is killed, the same command finishes it.
"""

import secrets
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import optuna

from study.disk import bytes_below
from study.lookup import find_study
from study.running.journal import open_storage
from study.running.service import Settings, locked
from study.running.started import check_journal, check_tracked_there
from study.tracking.address import store_exists
from study.tracking.client import TrackingClient

_REMOVED = ".removed"
"""Ending of a folder whose removal began."""


@dataclass(frozen=True)
class Removal:
    """What a removal frees and what it would lose.

    Attributes:
        bytes: of the study's folder.
        undelivered: events that the tracking server does not have.
    """

    bytes: int
    undelivered: int


def removal_of(name: str, settings: Settings) -> Removal:
    """What the removal of a study frees and loses. Changes nothing.

    Raises:
        UserError: there is no such study here.
    """
    folder = find_study(name, settings.root)
    return Removal(bytes_below(folder.path), _undelivered(folder.outbox))


def remove(name: str, settings: Settings, *, tracked: bool = False) -> None:
    """Remove a study from this folder.

    Args:
        name: of the study.
        settings: where it is.
        tracked: whether its experiment on the tracking server is deleted too. The experiment is renamed first, so
            that the study's name is free. `mlflow experiments restore` brings it back until `mlflow gc` has run.

    Raises:
        UserError: there is no such study here, a process runs it, or the server does not answer; the folder is
            unchanged.
    """
    folder = find_study(name, settings.root)
    record = folder.start_record()
    check_journal(folder, record, settings)
    if tracked:
        check_tracked_there(folder, settings)
    with locked(folder):
        if tracked and store_exists(settings.tracking_uri):
            TrackingClient(settings.tracking_uri, name, record.ownership).delete_study(
                f"{name} (removed {time.strftime('%Y-%m-%d %H:%M:%S')}, {secrets.token_hex(2)})"
            )
        if settings.optuna_storage is not None:
            storage = open_storage(settings.optuna_storage)
            for stage in optuna.get_all_study_names(storage):
                if stage.rpartition(".")[0] == name:
                    optuna.delete_study(study_name=stage, storage=storage)
        # A kill from here on leaves a folder of another name, which is no study. The next removal removes it.
        folder.path.rename(folder.path.with_name(f".{name}.{secrets.token_hex(4)}{_REMOVED}"))
    for left in folder.path.parent.glob(f".*{_REMOVED}"):
        shutil.rmtree(left, ignore_errors=True)


def _undelivered(outbox: Path) -> int:
    """How many events wait in an outbox that no process has open; 0 where the file cannot be read."""
    if not outbox.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT COUNT(*) FROM event").fetchone()[0])
    except sqlite3.Error:
        return 0
