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

from study.config import StudyConfig, dump_study, nearest, parse_study, read_text
from study.data.dataset import Dataset, DatasetFacts
from study.data.load import describe_dataset, load_dataset
from study.errors import StudyFailed, UserError
from study.search.check import check_study
from study.search.engine import ray_engine
from study.search.pipeline import Pipeline
from study.search.watcher import Watcher
from study.storage import DEFAULT_ROOT, StudyFolder
from study.tracking.address import answering, store_exists, without_credentials
from study.tracking.client import RunStatus, TrackingClient
from study.tracking.provenance import provenance


@dataclass(frozen=True)
class Settings:
    """Where things are: what the command line and the environment say beside the study file."""

    tracking_uri: str
    data_root: Path
    root: Path = DEFAULT_ROOT
    address: str | None = None
    verbose: bool = False


def start(config: StudyConfig, settings: Settings, watcher: Watcher) -> None:
    """Run a new study to its end.

    Raises:
        UserError: something it asks for cannot be; nothing was made.
        StudyFailed: it began and could not be finished.
        KeyboardInterrupt: it was interrupted and can be resumed.
    """
    folder = StudyFolder(settings.root, config.name)
    if folder.exists():
        raise UserError(
            f"a study named {config.name} exists already in {folder.path}; go on with it by "
            f"`noisy-study resume {config.name}`, or choose another name with --name"
        )
    check_study(config, describe_dataset(config.data, settings.data_root))
    _refuse_tracked_name(config.name, settings.tracking_uri)
    watcher.says(f"loading {config.data.name}")
    dataset = load_dataset(config.data, settings.data_root)
    check_study(config, DatasetFacts(dataset.input_shape, dataset.class_count))
    with _locked(folder):
        _go_on(config, dataset, folder, settings, watcher)


def resume(name: str, settings: Settings, watcher: Watcher) -> None:
    """Go on with a study from its journal; one that is finished only has its stages walked through.

    Raises:
        UserError: there is no such study here, or another process runs it.
        StudyFailed, KeyboardInterrupt: as `start`.
    """
    folder = find_study(name, settings.root)
    with _locked(folder):
        config = parse_study(read_text(folder.study_file), str(folder.study_file))
        watcher.says(f"loading {config.data.name}")
        _go_on(config, load_dataset(config.data, settings.data_root), folder, settings, watcher)


def find_study(name: str, root: Path = DEFAULT_ROOT) -> StudyFolder:
    """The folder of a study by its name.

    Raises:
        UserError: there is none; names the nearest.
    """
    folder = StudyFolder(root, name)
    known = sorted(path.parent.name for path in (root / "studies").glob("*/study.yaml"))
    if name not in known:
        hint = nearest(name, known) if known else "; there is none here yet, `noisy-study run quickstart` makes one"
        raise UserError(f"no study named {name} in {root / 'studies'}{hint}")
    return folder


def _go_on(config: StudyConfig, dataset: Dataset, folder: StudyFolder, settings: Settings, watcher: Watcher) -> None:
    """The one code path of starting and resuming; a study that is new exists once Ray and its images are there."""
    with ray_engine(settings.address, settings.verbose) as capacity:
        if not folder.exists():
            folder.claim(dump_study(config), without_credentials(settings.tracking_uri))
        with answering(settings.tracking_uri):
            tracking = TrackingClient(settings.tracking_uri, config.name)
            tracking.begin_study(dump_study(config), *provenance(config, dataset.digest))
        status: RunStatus = "FAILED"
        try:
            failures = Pipeline(config, dataset, folder, settings.root, watcher, tracking, capacity).run()
            status = "FAILED" if failures else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            with answering(settings.tracking_uri):
                tracking.end_study(status)
    if failures:
        raise StudyFailed(f"{len(failures)} trials failed and are not in the table; the first: {failures[0]}")


def _refuse_tracked_name(name: str, uri: str) -> None:
    """A name belongs to one study, on the tracking server too. Makes no store that is not there yet."""
    if not store_exists(uri):
        return
    with answering(uri):
        taken = TrackingClient(uri, name).find_study()
    if taken is not None:
        raise UserError(
            f"a study named {name} exists already on the tracking server (run {taken}); go on with it by "
            f"`noisy-study resume {name}` where it was started, or choose another name with --name"
        )


@contextmanager
def _locked(folder: StudyFolder) -> Iterator[None]:
    """One process at a time for a study; the lock goes with the process, however it ends."""
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.lock, timeout=0):
            yield
    except Timeout:
        raise UserError(f"study {folder.name} is being run by another process; wait for it, or stop it first") from None
    finally:
        if not folder.exists():
            shutil.rmtree(folder.path, ignore_errors=True)
