"""The study service: it starts, resumes, extends and syncs studies.

Works on a study file and a folder. A start claims the name and writes the resolved study file. From there a start, a
resume and an extension are the same code: take the lock, load the images, train the teachers that are missing, run the
stages one after another from the journal, and track every trial. Knows nothing of terminals; it calls a `Watcher`.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from models import own_code
from study.config import StudyConfig, dump_study
from study.data.dataset import Dataset, DatasetFacts
from study.data.load import describe_dataset, load_for_both
from study.distill.processor import recorded_processor
from study.distill.teachers import check_given_files
from study.errors import StudyFailed, Undelivered, UserError
from study.locks import file_lock, naming_the_file_system
from study.lookup import find_study
from study.planning import plan
from study.planning.check import check_study
from study.planning.extension import extended
from study.running.bf16 import slow_precision
from study.running.claims import claim_journal
from study.running.delivered import PATIENCE, HeldLines, delivery_of, end_tracking, opened_outbox, send_all
from study.running.engine import ray_engine
from study.running.journal import is_taken, journal_errors, open_storage
from study.running.nodes import check_storage
from study.running.ownership import resumed_ownership
from study.running.pipeline import Pipeline, StudyContext
from study.running.started import (
    check_journal,
    check_same_code,
    check_same_files,
    check_tracked_there,
    code_digests,
    file_digests,
    given_files,
    keep_code,
    unchanged_study,
    with_extension,
)
from study.running.watcher import Watcher
from study.storage import DEFAULT_ROOT, Ownership, StartRecord, StudyFolder, make_root
from study.tracking.address import store_exists
from study.tracking.client import TrackingClient
from study.tracking.credentials import check_address, without_credentials
from study.tracking.ended import keep_parent
from study.tracking.events import Event, StudyBegan, StudyExtended, StudyStatus, now_ms
from study.tracking.machine import measured_machine
from study.tracking.provenance import datasets_of, provenance, this_start


@dataclass(frozen=True)
class Settings:
    """Where things are: what the command line and the environment set, and the study file does not."""

    tracking_uri: str
    data_root: Path
    optuna_storage: str | None = None  # None: every study has its own SQLite file
    root: Path = DEFAULT_ROOT
    address: str | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        """Raises UserError if a password is not percent-encoded."""
        check_address("MLFLOW_TRACKING_URI", self.tracking_uri)
        check_address("OPTUNA_STORAGE", self.optuna_storage or "")


def start(config: StudyConfig, settings: Settings, watcher: Watcher) -> Dataset:
    """Run a new study to its end.

    Returns:
        its images; an export of its students needs them.

    Raises:
        UserError: the study file asks for something impossible; no study was created.
        StudyFailed: the study began and could not be finished.
        KeyboardInterrupt: the study was interrupted and can be resumed.
    """
    folder = StudyFolder(settings.root, config.name)
    _refuse_taken_folder(folder)
    shutil.rmtree(folder.code, ignore_errors=True)  # of a start that was refused
    check_study(config, describe_dataset(config.data, settings.data_root))
    owner = folder.new_ownership()
    _refuse_tracked_name(config.name, settings.tracking_uri)
    dataset, whole = load_for_both(config.data, settings.data_root)
    facts = DatasetFacts(dataset.input_shape, dataset.class_count)
    check_study(config, facts)
    check_given_files(plan.teacher_trials(config), facts, dataset)
    with locked(folder), own_code.copies_in(folder.code):
        _refuse_taken_folder(folder)
        _run_study(config, dataset, whole, folder, owner, settings, watcher)
    return dataset


def resume(name: str, settings: Settings, watcher: Watcher) -> Dataset:
    """Resume a study from its journal. In a study that is finished, no trial is left to run.

    Returns:
        as `start`.

    Raises:
        UserError: there is no such study here, or another process runs it.
        StudyFailed, KeyboardInterrupt: as `start`.
    """
    return _run_again(find_study(name, settings.root), lambda started: started, settings, watcher)


def extend(config: StudyConfig, settings: Settings, watcher: Watcher) -> Dataset:
    """Extend a study that was started before, and run it to its end. Nothing that ran is run again.

    Args:
        config: the study after the extension.
        settings: where it runs.
        watcher: is called when something happens.

    Returns:
        as `start`.

    Raises:
        UserError: there is no such study here, another process runs it, or the study file changes something that an
            extension cannot change; nothing was changed.
        StudyFailed, KeyboardInterrupt: as `start`.
    """
    folder = find_study(config.name, settings.root)
    return _run_again(folder, lambda started: extended(started, config), settings, watcher)


def _run_again(
    folder: StudyFolder, becomes: Callable[[StudyConfig], StudyConfig], settings: Settings, watcher: Watcher
) -> Dataset:
    """What a resume and an extension share.

    Args:
        folder: of the study.
        becomes: returns the study to run, by the study as it was started.
        settings: where it runs.
        watcher: is called when something happens.
    """
    check_tracked_there(folder, settings)
    check_journal(folder, folder.start_record(), settings)
    with locked(folder), own_code.copies_in(folder.code):
        record = folder.start_record()
        started = unchanged_study(folder, record)
        config = becomes(started)
        dataset, whole = load_for_both(config.data, settings.data_root)
        facts = DatasetFacts(dataset.input_shape, dataset.class_count)
        check_study(config, facts)
        if dataset.digest != record.data_digest:
            raise UserError(f"the images of {config.data.name} are not those that study {folder.name} started with")
        check_same_files(config, folder, record)
        check_same_code(folder, record, watcher.says)
        if config is not started:
            check_given_files(plan.teacher_trials(config), facts, dataset)
        owner = resumed_ownership(folder, record, settings.tracking_uri)
        _run_study(config, dataset, whole, folder, owner, settings, watcher)
    return dataset


def sync(name: str, settings: Settings) -> int:
    """Send the events that the tracking server missed while it was unavailable.

    Returns:
        how many events were sent: those that waited in the outbox, and those of trials that the server did not have.

    Raises:
        UserError: there is no such study here, or another process runs it.
        Undelivered: the server still does not answer.
    """
    folder = find_study(name, settings.root)
    check_tracked_there(folder, settings)
    with locked(folder):
        record = folder.start_record()
        check_journal(folder, record, settings)
        journal = settings.optuna_storage or folder.own_journal
        delivery = delivery_of(folder, record.ownership, settings.tracking_uri, journal, Watcher().says)
        try:
            delivery.client.find_study()
        except UserError as error:
            raise Undelivered(f"{error}; the events that it missed wait in {folder.outbox}") from None
        outbox = opened_outbox(folder, delivery, Watcher().says)
        send_all(outbox, PATIENCE, folder)
        if not delivery.is_checked:
            try:
                delivery.check()
            except UserError as error:
                raise Undelivered(str(error)) from None
        return outbox.found + delivery.again


def _run_study(
    config: StudyConfig,
    dataset: Dataset,
    whole: Dataset,
    folder: StudyFolder,
    owner: Ownership,
    settings: Settings,
    watcher: Watcher,
) -> None:
    """The code that a start and a resume share. A new study exists as soon as Ray runs and the images are loaded.

    From then on every error is a `StudyFailed`, and the study can be resumed.
    """

    def resume_hint() -> str:
        return f"; resume it with: noisy-study resume {config.name}" if folder.exists() else ""

    journal = settings.optuna_storage or folder.own_journal
    with ray_engine(settings.address, settings.verbose, resume_hint) as capacity, journal_errors(journal):
        if settings.address is None:
            capacity.check_fits(config.resources)
        check_storage(folder.path, list(given_files(config).values()))
        storage = open_storage(journal, of_one_host=settings.address is None)  # a cluster's folder is a network drive
        is_new = not folder.exists()
        keep_code(config, folder)
        if is_new:
            if is_taken(storage, config.name):
                raise UserError(
                    f"a study named {config.name} already has a journal in {without_credentials(journal)}; "
                    "choose another name with --name"
                )
            folder.claim(
                StartRecord(
                    study_file=dump_study(config),
                    tracking_uri=without_credentials(settings.tracking_uri),
                    journal=without_credentials(journal),
                    data_digest=dataset.digest,
                    weights=file_digests(config),
                    code=code_digests(config),
                    ownership=owner,
                    seeds=config.fixed_seeds,
                )
            )
        else:
            claim_journal(storage, config.name, owner)
            folder.start_again(with_extension(folder.start_record(), config, now_ms()), owner)
        status: StudyStatus = "FAILED"
        has_begun = False
        says = HeldLines(watcher.says, held=is_new)
        delivery = delivery_of(folder, owner, settings.tracking_uri, journal, says)
        outbox = opened_outbox(folder, delivery, says)

        def track(event: Event) -> None:
            keep_parent(folder.parent_record, event)
            outbox.put(event)

        try:
            if settings.address is None:  # on a cluster, the first trial on each kind of processor measures and reports
                processor, _ = recorded_processor(folder.processors)
                if (slow := slow_precision(config, processor)) is not None:
                    watcher.says(slow)
            start = this_start()
            params, tags = provenance(config, dataset.digest, start)
            used = datasets_of(config.data, dataset)
            track(StudyBegan(study_file=dump_study(config), params=params, tags=tags, datasets=used, start=start))
            has_begun = True
            for each in folder.start_record().extensions:
                track(StudyExtended(study_file=dump_study(config), extension=each))
            if is_new and not outbox.settle(PATIENCE) and outbox.trouble is not None:
                # Another study of this name was started at the same moment, or the address or permissions are wrong.
                if outbox.refused or not _may_be_tracked(delivery.client):
                    folder.unclaim()  # so that the same command works with another address
                    raise UserError(outbox.trouble)
                raise StudyFailed(outbox.trouble)  # the server has the study, and fell silent: stop before training
            says.release()
            for note in dataset.notes if is_new else ():
                watcher.says(note)
            with measured_machine(outbox.put):
                failures = Pipeline(
                    StudyContext(
                        config=config,
                        dataset=dataset,
                        whole=whole,
                        digests=folder.start_record().digests,
                        folder=folder,
                        root=settings.root,
                        storage=storage,
                        owner=owner,
                        watcher=watcher,
                        track=track,
                        capacity=capacity,
                    )
                ).run()
            status = "FAILED" if failures else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except UserError as error:
            if not folder.exists():
                raise
            raise StudyFailed(str(error)) from None
        finally:
            end_tracking(outbox, status if has_begun else None, folder, watcher.says)
    if failures:
        count = "1 trial failed and is" if len(failures) == 1 else f"{len(failures)} trials failed and are"
        raise StudyFailed(f"{count} not in the table; the first: {failures[0]}")


def _may_be_tracked(client: TrackingClient) -> bool:
    """Whether the tracking server has the study, as far as it answers."""
    try:
        return client.find_study() is not None
    except UserError:
        return True


def _refuse_taken_folder(folder: StudyFolder) -> None:
    if folder.exists():
        raise UserError(
            f"a study named {folder.name} already exists in {folder.path}; resume it with "
            f"`noisy-study resume {folder.name}`, or choose another name with --name"
        )


def _refuse_tracked_name(name: str, uri: str) -> None:
    """Refuse a name that a study on the tracking server has. A SQLite store that does not exist is not created."""
    if not store_exists(uri):
        return
    taken = TrackingClient(uri, name).find_study()
    if taken is not None:
        raise UserError(
            f"a study named {name} already exists on the tracking server (run {taken}); resume it with "
            f"`noisy-study resume {name}` in the folder where it was started, or choose another name with --name"
        )


@contextmanager
def locked(folder: StudyFolder) -> Iterator[None]:
    """Hold the study's lock, so that one process at a time runs it. The system frees the lock when the process ends.

    If no study was created, the folder is removed again.
    """
    lock = file_lock(folder.lock)
    try:
        make_root(folder.root)
        folder.path.mkdir(parents=True, exist_ok=True)
        with naming_the_file_system(folder.lock):
            lock.acquire(timeout=0)
    except OSError as error:
        if not isinstance(error, Timeout):
            raise UserError(f"cannot write {folder.path}: {error.strerror}; run in another folder") from None
        raise UserError(f"another process runs study {folder.name}; wait until it ends, or stop it") from None
    try:
        yield
    finally:
        if not folder.exists():
            shutil.rmtree(folder.path, ignore_errors=True)
        lock.release()
