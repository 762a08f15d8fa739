"""The study service: starting a study and going on with one, as one code path.

Works on a study file and a folder. A start claims the name, writes the resolved study file and then does exactly
what a resume does: lock, load the images, train what teachers are missing, run stage after stage from the journal,
track everything. Knows nothing of terminals; it tells a `Watcher`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from study.config import StudyConfig, dump_study, parse_study, read_text
from study.data.dataset import Dataset, DatasetFacts
from study.data.load import describe_dataset, load_dataset
from study.distill.logit_store import file_digest
from study.distill.processor import recorded_processor
from study.errors import StudyFailed, Undelivered, UserError
from study.lookup import find_study
from study.planning import plan
from study.planning.check import check_study
from study.running.bf16 import slow_precision
from study.running.engine import ray_engine
from study.running.journal import is_taken, open_storage
from study.running.nodes import check_storage
from study.running.pipeline import Pipeline, StudyContext
from study.running.watcher import Watcher
from study.storage import DEFAULT_ROOT, StartRecord, StudyFolder
from study.tracking.address import redacted_message, store_exists, without_credentials
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan, StudyEnded, StudyStatus, now_ms
from study.tracking.machine import measured_machine
from study.tracking.outbox import Outbox
from study.tracking.provenance import datasets_of, provenance, this_start

PATIENCE = 60.0
"""Seconds that the end of a study waits for a tracking server that does not answer, and that one may take to write down
a new one's beginning."""

SHORT_PATIENCE = 2.0
"""The same where the study has failed, or somebody wants it to stop."""


@dataclass(frozen=True)
class Settings:
    """Where things are: what the command line and the environment say beside the study file."""

    tracking_uri: str
    data_root: Path
    optuna_storage: str | None = None  # None: every study has its own SQLite file
    root: Path = DEFAULT_ROOT
    address: str | None = None
    verbose: bool = False


def start(config: StudyConfig, settings: Settings, watcher: Watcher) -> Dataset:
    """Run a new study to its end.

    Returns:
        its images, for whoever goes on with its students.

    Raises:
        UserError: something it asks for cannot be; nothing was made.
        StudyFailed: it began and could not be finished.
        KeyboardInterrupt: it was interrupted and can be resumed.
    """
    folder = StudyFolder(settings.root, config.name)
    _refuse_taken_folder(folder)
    check_study(config, describe_dataset(config.data, settings.data_root))
    _refuse_tracked_name(config.name, settings.tracking_uri)
    dataset = load_dataset(config.data, settings.data_root)
    check_study(config, DatasetFacts(dataset.input_shape, dataset.class_count))
    with _locked(folder):
        _refuse_taken_folder(folder)
        _go_on(config, dataset, folder, settings, watcher)
    return dataset


def resume(name: str, settings: Settings, watcher: Watcher) -> Dataset:
    """Go on with a study from its journal; one that is finished only has its stages walked through.

    Returns:
        as `start`.

    Raises:
        UserError: there is no such study here, or another process runs it.
        StudyFailed, KeyboardInterrupt: as `start`.
    """
    folder = find_study(name, settings.root)
    record = folder.start_record()
    _check_tracked_there(folder, settings)
    given = without_credentials(settings.optuna_storage or folder.own_journal)
    if record.journal != given:
        raise UserError(f"study {name} has its journal in {record.journal}, not in {given}: set OPTUNA_STORAGE so")
    with _locked(folder):
        config = _unchanged_study_file(folder, record)
        dataset = load_dataset(config.data, settings.data_root)
        check_study(config, DatasetFacts(dataset.input_shape, dataset.class_count))
        if dataset.digest != record.data_digest:
            raise UserError(f"the images of {config.data.name} are not those that study {name} started with")
        _check_same_weights(config, folder, record)
        _go_on(config, dataset, folder, settings, watcher)
    return dataset


def sync(name: str, settings: Settings) -> int:
    """Deliver what an outage kept from the tracking server.

    Returns:
        how many events waited, and have arrived.

    Raises:
        UserError: there is no such study here, or another process runs it.
        Undelivered: the server does not answer still.
    """
    folder = find_study(name, settings.root)
    _check_tracked_there(folder, settings)
    with _locked(folder):
        tracking = TrackingClient(settings.tracking_uri, name)
        try:
            tracking.find_study()
        except UserError as error:
            raise Undelivered(f"{error}; what it has missed waits in {folder.outbox}") from None
        outbox = Outbox(folder.outbox, tracking.apply, Watcher().says)
        _close(outbox, PATIENCE, folder)
        return outbox.found


def _go_on(config: StudyConfig, dataset: Dataset, folder: StudyFolder, settings: Settings, watcher: Watcher) -> None:
    """The one code path of starting and resuming; a study that is new exists once Ray and its images are there.

    From then on whatever stops it is a `StudyFailed`: it can be resumed.
    """

    def how_to_go_on() -> str:
        return f"; resume it with: noisy-study resume {config.name}" if folder.exists() else ""

    with ray_engine(settings.address, settings.verbose, how_to_go_on) as capacity:
        if settings.address is None:
            capacity.check_fits(config.resources)
        check_storage(folder.path, [Path(name) for name in _weights(config)])
        journal = settings.optuna_storage or folder.own_journal
        storage = open_storage(journal, of_one_host=settings.address is None)  # a cluster's folder is mounted
        is_new = not folder.exists()
        if is_new:
            if is_taken(storage, config.name):
                raise UserError(
                    f"a study named {config.name} has a journal in {without_credentials(journal)} already; "
                    "choose another name with --name"
                )
            folder.claim(
                StartRecord(
                    study_file=dump_study(config),
                    tracking_uri=without_credentials(settings.tracking_uri),
                    journal=without_credentials(journal),
                    data_digest=dataset.digest,
                    weights=_weights_digests(config),
                )
            )
        status: StudyStatus = "FAILED"
        tracking = TrackingClient(settings.tracking_uri, config.name)
        outbox = Outbox(folder.outbox, tracking.apply, watcher.says)
        try:
            if settings.address is None:  # on a cluster, the first trial on a kind of processor measures it and says so
                processor, _ = recorded_processor(folder.processors)
                if (slow := slow_precision(config, processor)) is not None:
                    watcher.says(slow)
            start = this_start()
            params, tags = provenance(config, dataset.digest, start)
            used = datasets_of(config.data, dataset)
            outbox.put(StudyBegan(study_file=dump_study(config), params=params, tags=tags, datasets=used, start=start))
            if is_new and not outbox.settle(PATIENCE) and outbox.trouble is not None:
                raise StudyFailed(outbox.trouble)  # a mistake in the address or the rights, better heard of now
            whole = _whole(config, dataset, settings)
            with measured_machine(outbox.put):
                failures = Pipeline(
                    StudyContext(
                        config=config,
                        dataset=dataset,
                        whole=whole,
                        weights=folder.start_record().weights,
                        folder=folder,
                        root=settings.root,
                        storage=storage,
                        watcher=watcher,
                        track=outbox.put,
                        capacity=capacity,
                    )
                ).run()
            status = "FAILED" if failures else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except UserError as error:
            raise StudyFailed(str(error)) from None
        except (OptunaError, SQLAlchemyError) as error:
            # Optuna's own words do not say what the database said.
            reason = redacted_message(error.__cause__ or error, journal)
            raise StudyFailed(f"the journal {without_credentials(journal)}: {reason}") from None
        finally:
            _end(outbox, status, folder, watcher)
    if failures:
        raise StudyFailed(f"{len(failures)} trials failed and are not in the table; the first: {failures[0]}")


def _end(outbox: Outbox, status: StudyStatus, folder: StudyFolder, watcher: Watcher) -> None:
    """Say how the study ended, and see that it arrives; where it stopped early, why is the greater news."""
    try:
        try:
            outbox.put(StudyEnded(status=status, timestamp_ms=now_ms()))
        finally:
            _close(outbox, PATIENCE if status == "FINISHED" else SHORT_PATIENCE, folder)
    except Undelivered as error:
        if status == "FINISHED":
            raise
        watcher.says(str(error))
    except UserError as error:
        # A full disk, which is what stopped the study where it stopped early; a resume says how it ended.
        if status == "FINISHED":
            raise StudyFailed(str(error)) from None


def _close(outbox: Outbox, patience: float, folder: StudyFolder) -> None:
    """Deliver what waits.

    Raises:
        Undelivered: not everything has arrived.
        UserError: the outbox's file cannot be used (a full disk).
    """
    if left := outbox.close(patience):
        raise Undelivered(
            f"{outbox.trouble or 'the tracking server is slow'}; {left} events wait for it in {folder.outbox}; "
            f"deliver them by: noisy-study sync {folder.name}"
        )


def _check_tracked_there(folder: StudyFolder, settings: Settings) -> None:
    recorded, given = folder.tracking_uri(), without_credentials(settings.tracking_uri)
    if recorded != given:
        raise UserError(
            f"study {folder.name} is tracked on {recorded}, not on {given}: set MLFLOW_TRACKING_URI back, or unset it"
        )


def _whole(config: StudyConfig, dataset: Dataset, settings: Settings) -> Dataset:
    """The images teachers learn from: a small share of the data is for the students (noisy teacher, section 3.1)."""
    if config.data.fraction == 1:
        return dataset
    return load_dataset(config.data.model_copy(update={"fraction": 1.0}), settings.data_root)


def _weights(config: StudyConfig) -> list[str]:
    return [trial.weights for trial in plan.teacher_trials(config) if trial.weights is not None]


def _weights_digests(config: StudyConfig) -> dict[str, str]:
    return {name: file_digest(Path(name)) for name in _weights(config)}


def _check_same_weights(config: StudyConfig, folder: StudyFolder, record: StartRecord) -> None:
    """All students of a study learn from the same teacher."""
    for name, digest in _weights_digests(config).items():
        if record.weights.get(name, digest) != digest:
            raise UserError(
                f"{name} holds other weights than those that study {folder.name} started with; bring them back"
            )


def _unchanged_study_file(folder: StudyFolder, record: StartRecord) -> StudyConfig:
    """The study's file, which must say what it said when the study started.

    Raises:
        UserError: it says something else; names the key.
    """
    config = parse_study(read_text(folder.study_file), str(folder.study_file))
    started = parse_study(record.study_file, f"{folder.path}: the study file that the study started with")
    if changed := _first_difference(started.model_dump(mode="json"), config.model_dump(mode="json")):
        raise UserError(
            f"{folder.study_file}: `{changed}` is not what study {folder.name} started with; undo the change, or start "
            "another study: noisy-study run FILE --name NAME"
        )
    return config


def _first_difference(one: object, other: object, key: str = "") -> str | None:
    """The dotted key of the first difference of two JSON documents; None where they are equal."""
    if one == other:
        return None
    inner: list[tuple[str, object, object]] = []
    if isinstance(one, dict) and isinstance(other, dict):
        inner = [(str(name), one.get(name), other.get(name)) for name in one | other]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        inner = [(str(index), *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    for name, left, right in inner:
        if (found := _first_difference(left, right, f"{key}.{name}" if key else name)) is not None:
            return found
    return key


def _refuse_taken_folder(folder: StudyFolder) -> None:
    if folder.exists():
        raise UserError(
            f"a study named {folder.name} exists already in {folder.path}; go on with it by "
            f"`noisy-study resume {folder.name}`, or choose another name with --name"
        )


def _refuse_tracked_name(name: str, uri: str) -> None:
    """A name belongs to one study, on the tracking server too. Makes no store that is not there yet."""
    if not store_exists(uri):
        return
    taken = TrackingClient(uri, name).find_study()
    if taken is not None:
        raise UserError(
            f"a study named {name} exists already on the tracking server (run {taken}); go on with it by "
            f"`noisy-study resume {name}` where it was started, or choose another name with --name"
        )


@contextmanager
def _locked(folder: StudyFolder) -> Iterator[None]:
    """One process at a time for a study; the lock goes with the process, however it ends.

    Leaves no folder behind where no study came to be.
    """
    lock = FileLock(folder.lock)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except OSError as error:
        if not isinstance(error, Timeout):
            raise UserError(f"cannot write {folder.path}: {error.strerror}; run in another folder") from None
        raise UserError(f"study {folder.name} is being run by another process; wait for it, or stop it first") from None
    try:
        yield
    finally:
        if not folder.exists():
            shutil.rmtree(folder.path, ignore_errors=True)
        lock.release()
