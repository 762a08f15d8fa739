"""Removes a study: its folder, its stages in a shared journal, and on request its experiment on the tracking server.

Works on a study's folder and two addresses. Teachers and logits stay, because other studies may use them. If a removal
is killed, the same command finishes it.
"""

import secrets
import shutil
import time

import optuna
from optuna.storages import BaseStorage

from study.errors import UserError
from study.lookup import find_study
from study.running.journal import journal_errors, open_storage
from study.running.service import Settings, locked
from study.running.started import check_journal, check_tracked_there
from study.storage import StartRecord, StudyFolder
from study.tracking.address import store_exists
from study.tracking.client import TrackingClient
from study.tracking.outbox import events_in

_REMOVED = ".removed"
"""Ending of a folder whose removal began."""


def remove(name: str, settings: Settings, *, tracked: bool = False, force: bool = False) -> None:
    """Remove a study from this folder.

    Args:
        name: of the study.
        settings: where it is.
        tracked: whether its experiment on the tracking server is deleted too. The experiment is renamed first, so
            that the study's name is free. `mlflow experiments restore` brings it back until `mlflow gc` has run.
        force: whether results that the tracking server does not have may be lost.

    Raises:
        UserError: there is no such study here, a process runs it, the server does not answer, or it does not have all
            results; the folder is unchanged.
    """
    folder = find_study(name, settings.root)
    record = _readable_record(folder)
    if record is not None:
        check_journal(folder, record, settings)
    elif tracked or settings.optuna_storage is not None:
        what, without = ("an experiment", "--tracked") if tracked else ("stages in a shared journal", "OPTUNA_STORAGE")
        raise UserError(
            f"study {name} in {folder.path} was made by another version of this package, or its start.json is damaged, "
            f"so it is not known whether {what} of this name is its own; remove the folder alone, without {without}"
        )
    if tracked:
        check_tracked_there(folder, settings)
    with locked(folder):
        if not (force or tracked):
            _refuse_undelivered(folder)
        if tracked and record is not None and store_exists(settings.tracking_uri):
            TrackingClient(settings.tracking_uri, name, record.ownership).delete_study(
                f"{name} (removed {time.strftime('%Y-%m-%d %H:%M:%S')}, {secrets.token_hex(2)})"
            )
        if settings.optuna_storage is not None:
            with journal_errors(settings.optuna_storage):
                _remove_stages(open_storage(settings.optuna_storage), name)
        # A kill from here on leaves a folder of another name, which is no study. The next removal removes it.
        folder.path.rename(folder.path.with_name(f".{name}.{secrets.token_hex(4)}{_REMOVED}"))
    for left in folder.path.parent.glob(f".*{_REMOVED}"):
        shutil.rmtree(left, ignore_errors=True)


def _remove_stages(storage: BaseStorage, study: str) -> None:
    for stage in optuna.get_all_study_names(storage):
        if stage.rpartition(".")[0] == study:
            optuna.delete_study(study_name=stage, storage=storage)


def _readable_record(folder: StudyFolder) -> StartRecord | None:
    """What the study started with; None if another version of this package made the folder, or the record is damaged.

    Such a folder can be removed: it is of no other use than for its tables, which the tracking server has.
    """
    try:
        return folder.start_record()
    except UserError:
        return None


def _refuse_undelivered(folder: StudyFolder) -> None:
    waiting = events_in(folder.outbox)
    if waiting == 0:
        return
    what = "its outbox cannot be read" if waiting is None else f"the server does not have {waiting} of its events"
    raise UserError(
        f"study {folder.name}: {what}; send what is missing with `noisy-study sync {folder.name}`, or lose it with "
        "--force"
    )
