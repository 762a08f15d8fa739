"""Runs a study from its start or resume to its kept results. Command line, notebook functions and jobs use it.

Works on a study file or the name of a study, and on a watcher. Knows nothing of terminals. A job on a cluster is the
command line with `--resume`, so it takes the same path.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from study import environment
from study.config import StudyConfig
from study.export.keep import keep_results
from study.lookup import tracking_uri_of
from study.results.read import TrackedStudy, read_study
from study.running import service
from study.running.service import Settings
from study.running.watcher import Watcher
from study.tracking.address import tracking_uri


def settings_of(
    name: str | None, data_root: str | Path | None = None, address: str | None = None, verbose: bool = False
) -> Settings:
    """Where a study runs: what the caller gives, else what the environment says.

    Args:
        name: of the study; None where the address at which it is tracked does not matter.
        data_root: where data sets lie.
        address: a running Ray cluster; None for a local Ray.
        verbose: whether Ray and MLflow print their own messages.
    """
    return Settings(
        tracking_uri() if name is None else tracking_uri_of(name),
        environment.data_root(data_root),
        environment.optuna_storage(),
        address=address,
        verbose=verbose,
    )


def run_study(
    study: StudyConfig | str,
    settings: Settings,
    watching: AbstractContextManager[Watcher],
    *,
    extends: bool = False,
    say: Callable[[str], None],
    show: Callable[[TrackedStudy], None] | None = None,
) -> None:
    """Run a study to its end, read it from the tracking server, and keep its description, report and best student.

    Args:
        study: the study file of a new or extended study, or the name of a study to resume.
        settings: where it runs.
        extends: whether the study file extends a study that was started before.
        watching: gives the watcher while trials run; it is left before results are shown.
        say: takes one line for each result that was kept or could not be kept.
        show: takes the finished study, after its results were kept.

    Raises:
        UserError: the study cannot be started, resumed or extended; nothing was changed.
        StudyFailed: it started and could not be finished.
        KeyboardInterrupt: it was interrupted and can be resumed.
    """
    with watching as watcher:
        if isinstance(study, StudyConfig):
            begin = service.extend if extends else service.start
            name, dataset = study.name, begin(study, settings, watcher)
        else:
            name, dataset = study, service.resume(study, settings, watcher)
    tracked = read_study(settings.tracking_uri, name)
    # Output may fail: a closed pipe, a full disk behind it. The results are kept before.
    lines = keep_results(settings.tracking_uri, tracked, settings.root, settings.data_root, dataset)
    if show is not None:
        show(tracked)
    for line in lines:
        say(line)
