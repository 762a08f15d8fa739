"""What a study started with, and whether it still is so.

Works on a study's folder and its record. A resume asks all of it before it changes anything. Writes the study file of
an extension that a kill cut off, and copies of the user's own code.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from models import own_code
from models.zoo import weights_file
from study.config import StudyConfig, dump_study, first_difference, parse_study, read_text
from study.distill.logit_store import file_digest
from study.errors import UserError
from study.planning import plan
from study.planning.extension import changes
from study.planning.proposals import code_to_keep
from study.storage import Extension, StartRecord, StudyFolder, write_whole
from study.tracking.address import same_address
from study.tracking.credentials import without_credentials


class Addresses(Protocol):
    """Where a study's journal and its tracking server are, as the caller says."""

    @property
    def tracking_uri(self) -> str: ...

    @property
    def optuna_storage(self) -> str | None: ...


def check_tracked_there(folder: StudyFolder, settings: Addresses) -> None:
    recorded, given = folder.tracking_uri(), without_credentials(settings.tracking_uri)
    if recorded is None or not same_address(recorded, given):
        raise UserError(
            f"study {folder.name} is tracked on {recorded}, not on {given}: set MLFLOW_TRACKING_URI to {recorded}"
        )


def check_journal(folder: StudyFolder, record: StartRecord, settings: Addresses) -> None:
    given = without_credentials(settings.optuna_storage or folder.own_journal)
    moved = settings.optuna_storage is None and folder.may_own(record.journal)
    if not moved and not same_address(record.journal, given):
        raise UserError(
            f"study {folder.name} has its journal in {record.journal}, not in {given}: set OPTUNA_STORAGE to "
            f"{record.journal}"
        )


def given_files(config: StudyConfig) -> dict[str, Path]:
    """The files of weights and logits, by what the study file has for them."""
    given = ((trial.weights, trial.logits) for trial in plan.teacher_trials(config))
    return {name: weights_file(name) for pair in given for name in pair if name is not None}


def file_digests(config: StudyConfig) -> dict[str, str]:
    """SHA-256 of the files of weights and logits, by what the study file has for them."""
    return {name: file_digest(file) for name, file in given_files(config).items()}


def check_same_files(config: StudyConfig, folder: StudyFolder, record: StartRecord) -> None:
    """Refuse files of weights and logits that changed: all students of a study must learn from the same teachers."""
    for name, digest in file_digests(config).items():
        if record.weights.get(name, digest) != digest:
            raise UserError(
                f"{name} has changed since study {folder.name} started; restore the file that the study started with"
            )


def keep_code(config: StudyConfig, folder: StudyFolder) -> None:
    """Copy the user's own code into the study's folder. Files that are there already stay.

    Raises:
        UserError: the code cannot be read, or the folder cannot be written.
    """
    with _in_one_line():
        for reference in code_to_keep(config):
            code = own_code.located(reference)
            if code.root.is_relative_to(folder.code):
                continue  # it is kept already
            for copy, file in own_code.copies_of(code).items():
                if not (folder.code / copy).exists():
                    write_whole(folder.code / copy, partial(shutil.copyfile, file))


def code_digests(config: StudyConfig) -> dict[str, str]:
    """SHA-256 of the user's own code as this process imports it, by its reference."""
    with _in_one_line():
        return {reference: own_code.located(reference).digest for reference in code_to_keep(config)}


def check_same_code(folder: StudyFolder, record: StartRecord, says: Callable[[str], None]) -> None:
    """Compare the user's own code with what the study started with. The study uses its copies.

    Args:
        folder: of the study.
        record: of the study.
        says: takes one line for each reference whose code was edited since.

    Raises:
        UserError: a copy has changed, or another version of a package is installed.
    """
    with _in_one_line():
        for reference, digest in record.code.items():
            code = own_code.located(reference)
            if code.digest != digest:
                what = f"the copy of {code.place} in {folder.code}" if code.travels else f"the package of {reference}"
                raise UserError(
                    f"{what} is not what study {folder.name} started with; restore it, or start another study with "
                    "--name"
                )
            with own_code.copies_in(None):
                if not code.travels or _present_digest(reference) == digest:
                    continue
            says(
                f"{code.place} has changed since study {folder.name} started; the study uses its copy in "
                f"{folder.code}; to use the new code, start another study with --name"
            )


def _present_digest(reference: str) -> str | None:
    try:
        return own_code.located(reference).digest
    except own_code.OwnCodeError:
        return None


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except own_code.OwnCodeError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror or error})") from None


def unchanged_study(folder: StudyFolder, record: StartRecord) -> StudyConfig:
    """The study, whose file must have the same content as when the study started or was extended.

    Raises:
        UserError: it differs; the message names the key.
    """
    started = record.study(f"{folder.path}: the study file that the study started with")
    text = read_text(folder.study_file)
    if text == record.study_file_before:  # killed between the two files
        folder.finish_extension(record)
        return started
    config = parse_study(text, str(folder.study_file))
    if changed := first_difference(started.model_dump(mode="json"), config.model_dump(mode="json")):
        raise UserError(
            f"{folder.study_file}: `{changed}` is not what study {folder.name} started with; undo the change, or "
            f"extend the study: noisy-study extend {folder.name} --set KEY=VALUE"
        )
    return started


def with_extension(record: StartRecord, config: StudyConfig, timestamp_ms: int) -> StartRecord:
    """The record of a study after an extension; the same record where nothing changed.

    Args:
        record: of the study as it is.
        config: the extended study.
        timestamp_ms: when, in Unix milliseconds.
    """
    grown = changes(record.study("the study file that the study started with"), config)
    if not grown:
        return record
    extension = Extension(timestamp_ms=timestamp_ms, changes=grown)
    return record.model_copy(
        update={
            "study_file": dump_study(config),
            "weights": {**file_digests(config), **record.weights},
            "code": {**code_digests(config), **record.code},
            "seeds": config.fixed_seeds,
            "extensions": (*record.extensions, extension),
            "study_file_before": record.study_file,
        }
    )
