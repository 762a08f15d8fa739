"""The runs that have ended, read from a study's journal and from the results of its trials.

Works on an Optuna storage and on result files. Writes nothing.
"""

from pathlib import Path

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from study.digests import Damaged
from study.errors import UserError
from study.records import EpochRecord
from study.running.result import read_result
from study.tracking.address import sqlite_file
from study.tracking.credentials import redacted_message, without_credentials
from study.tracking.ended import EndedRun

RUN = "run"
"""User attribute of a trial that ended: its run, as JSON of an `EndedRun`."""


def read_ended_runs(journal: str, study: str) -> list[EndedRun]:
    """As `ended_runs`, by a connection of its own, for a thread that is not the one that writes the journal.

    Args:
        journal: address of the Optuna storage.
        study: the study's name.

    Raises:
        UserError: the journal is missing or cannot be read. No message holds the address's credentials.
    """
    name, file = without_credentials(journal), sqlite_file(journal)
    if file is not None and not file.exists():  # Optuna would make an empty one
        raise UserError(
            f"the journal {name} is missing: restore it from a backup, or resume the study: then its trials take "
            "their results from the disk"
        )
    options = {"connect_args": {"timeout": 60}} if file is not None else {}
    try:
        storage = RDBStorage(journal, engine_kwargs=options)
        try:
            return ended_runs(storage, study)
        finally:
            storage.engine.dispose()
    except (SQLAlchemyError, OptunaError, ValidationError) as error:
        raise UserError(f"the journal {name} cannot be read ({redacted_message(error, journal)})") from None


def ended_runs(storage: BaseStorage, study: str) -> list[EndedRun]:
    """Every run that the journal holds as ended. Trials that ended before the journal kept runs are left out."""
    names = [name for name in optuna.get_all_study_names(storage) if name.rpartition(".")[0] == study]
    return [run for name in sorted(names) for run in _ended(optuna.load_study(study_name=name, storage=storage))]


def _ended(stage: optuna.Study) -> list[EndedRun]:
    trials: list[FrozenTrial] = stage.get_trials(deepcopy=False)
    return [run for trial in trials if (run := ended_run(trial)) is not None]


def ended_run(trial: FrozenTrial) -> EndedRun | None:
    """The run of a trial that has ended; None if it has not ended, or ended before the journal kept runs."""
    if not trial.state.is_finished() or RUN not in trial.user_attrs:
        return None
    return EndedRun.model_validate_json(trial.user_attrs[RUN])


def epochs_of(run: EndedRun, root: Path) -> tuple[EpochRecord, ...]:
    """The epochs of a run that has ended; none where its result is missing, damaged, or of another training.

    Args:
        run: as the journal has it.
        root: the folder of all studies.
    """
    if run.result is None:
        return run.epochs
    try:
        report = read_result(root / run.result).report
    except (OSError, Damaged):
        return ()
    return report.epochs if report.summary == run.ended.summary else ()
