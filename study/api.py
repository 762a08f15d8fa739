"""Studies in a notebook: run one, resume one, extend one, read one, take its best student.

Works on names and study files, and returns pandas frames and torch modules. It runs the same code as the command line,
in the same working folder: a study that was started here can be resumed, browsed and exported there, and the other way
round. A mistake in a study file or an address raises `study.errors.UserError` with a message of one line.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.own_code import copies_in
from study import environment
from study.config import StudyConfig, dump_study, parse_study
from study.errors import UserError
from study.lookup import find_study, larger_study, study_of, tracking_uri_of
from study.running.watcher import Watcher
from study.storage import DEFAULT_ROOT, StudyFolder, can_be_study_name
from study.tracking.address import bound_requests

if TYPE_CHECKING:
    import pandas as pd

    from study.export.student import Student
    from study.results.read import TrackedStudy

_log = logging.getLogger("study")


@dataclass(frozen=True)
class Study:
    """A study that was run, here or elsewhere, by its name.

    Everything is read from the tracking server at each call. Only `student` and `config` need the folder of the study.

    Attributes:
        name: of the study, which is also the MLflow experiment.
        tracking_uri: of an MLflow server, or `sqlite:///FILE`; credentials in it are not shown.
        data_root: the folder of data sets.
    """

    name: str
    tracking_uri: str
    data_root: Path

    def __repr__(self) -> str:
        return f"Study({self.name!r})"

    @property
    def status(self) -> str | None:
        """`RUNNING`, `FINISHED`, `FAILED` or `KILLED`, of the parent run; None if there is no parent run."""
        return self._read().status

    @property
    def config(self) -> StudyConfig:
        """The study file with every default filled in.

        Raises:
            UserError: the study did not run in this folder.
        """
        folder = StudyFolder(DEFAULT_ROOT, self.name)
        if not can_be_study_name(self.name) or not folder.exists():
            raise UserError(f"study {self.name} did not run in this folder: there is no {folder.study_file}")
        with copies_in(folder.code):
            return parse_study(folder.study_file.read_text(encoding="utf-8"), str(folder.study_file))

    @property
    def runs(self) -> "pd.DataFrame":
        """One row per trial of any stage, in the order in which they started.

        Columns are those of MLflow's `search_runs`. A column that has only numbers has a numeric type: `run_id`,
        `status`, `start_time` and `end_time` (Unix milliseconds), `params.sigma`, `metrics.test_error` (a fraction of
        1), `tags.…`.
        """
        return _with_numbers(self._read().trials)

    @property
    def teachers(self) -> "pd.DataFrame":
        """One row per teacher, as `runs`."""
        return _with_numbers(self._read().teachers)

    def table(self) -> "pd.DataFrame":
        """The improvement-over-baseline table; see `study.table`."""
        from study.results.formats.json import as_json
        from study.results.table import table_of

        made = table_of(self._read())
        return _table_frame(as_json(made))

    def curves(self, metric: str = "val_error") -> "pd.DataFrame":
        """A metric of every trial and epoch.

        Args:
            metric: `val_error`, `train_loss` or `images_per_second`.

        Returns:
            epochs as rows, from 1; trials as columns, by `run_id`; missing where a trial had no such epoch.
        """
        import pandas as pd

        from study.results.history import read_histories

        histories = read_histories(self.tracking_uri, list(self._read().trials["run_id"]), metric)
        return pd.DataFrame(histories).sort_index()

    def student(self) -> "Student":
        """The best student, chosen by validation error, with its best weights, in evaluation mode.

        It takes raw images (N, C, H, W), uint8, and gives logits (N, classes); its preprocessing is inside.
        `student.network` is the network alone.

        Raises:
            UserError: its weights or the images are not on this machine, or no trial is completed.
        """
        from study.export.choice import choose
        from study.export.weights import open_student

        return open_student(choose(self._read()), DEFAULT_ROOT, self.data_root).student

    def _read(self) -> "TrackedStudy":
        from study.results.read import read_study

        return read_study(self.tracking_uri, self.name)


def run(
    study: str | Path | StudyConfig,
    *,
    name: str | None = None,
    data_root: str | Path | None = None,
    address: str | None = None,
    **overrides: Any,
) -> Study:
    """Run a study to its end.

    Stages are logged by the logger `study`: `logging.basicConfig()` and `logging.getLogger("study").setLevel("INFO")`
    show them.

    Args:
        study: a recipe's name, the path of a study file, or a study file's model.
        name: the study's name, instead of the file's.
        data_root: the folder of data sets; missing ones are downloaded to it. Without it, `NOISY_STUDY_DATA`, else the
            user's cache.
        address: a running Ray cluster; else a local Ray.
        **overrides: keys of the study file and their values. A double underscore stands for a dot: `seeds=[0, 1]`,
            `train__epochs=2`, `arms__0__sigma=[0.3, 0.8]`.

    Raises:
        UserError: the study file or an argument has a mistake; nothing was created.
        StudyFailed: it started and could not be finished.
        KeyboardInterrupt: it was interrupted; `resume(name)` or `noisy-study resume NAME` resumes it.

    Example:
        >>> from study import run
        >>> finished = run("quickstart", name="toy", seeds=[0, 1], train__epochs=5)
        >>> finished.table()[["method", "sigma", "test_error_mean", "verdict"]]
    """
    bound_requests()
    given = _given(overrides)
    if isinstance(study, StudyConfig):
        config = parse_study(dump_study(study), study.name, given, name)
    else:
        config = study_of(str(study), given, name)
    return _run(config.name, config, data_root, address)


def resume(name: str, *, data_root: str | Path | None = None, address: str | None = None) -> Study:
    """Resume an interrupted study in this folder and run it to its end.

    Finished trials are not run again; the others continue from their last checkpoint. A finished study is not changed.

    Args:
        name: of the study.
        data_root: as in `run`.
        address: as in `run`.

    Raises:
        UserError: there is no such study in this folder, or another process runs it. The message has similar names.
        StudyFailed, KeyboardInterrupt: as `run`.

    Example:
        >>> from study import resume
        >>> finished = resume("toy")
    """
    bound_requests()
    find_study(name)
    return _run(name, name, data_root, address)


def extend(name: str, *, data_root: str | Path | None = None, address: str | None = None, **overrides: Any) -> Study:
    """Extend a study of this folder with more seeds, arms, searched trials or confirmed points, and run it to its end.

    Nothing that ran is run again. A list replaces the old one and must contain it.

    Args:
        name: of the study.
        data_root: as in `run`.
        address: as in `run`.
        **overrides: as in `run`.

    Raises:
        UserError: there is no such study in this folder, another process runs it, or an override changes something
            that an extension cannot change; nothing was changed.
        StudyFailed, KeyboardInterrupt: as `run`.

    Example:
        >>> from study import extend
        >>> larger = extend("toy", seeds=[0, 1, 2, 3, 4])
    """
    bound_requests()
    config = larger_study(find_study(name), _given(overrides))
    return _run(name, config, data_root, address, extends=True)


def load_study(name: str, *, tracking_uri: str | None = None, data_root: str | Path | None = None) -> Study:
    """A study that was run before.

    Args:
        name: of the study.
        tracking_uri: of an MLflow server, or `sqlite:///FILE`; else `MLFLOW_TRACKING_URI`, else where the study was
            tracked when it started, else `mlflow.db` in the working folder.
        data_root: the folder of data sets. Without it, `NOISY_STUDY_DATA`, else the user's cache.

    Raises:
        UserError: the server does not answer, or has no such study. The message has similar names.
    """
    bound_requests()
    study = Study(name, tracking_uri or tracking_uri_of(name), environment.data_root(data_root))
    study._read()
    return study


def table(name: str, *, tracking_uri: str | None = None) -> "pd.DataFrame":
    """The improvement-over-baseline table of a study.

    Args:
        name: of the study.
        tracking_uri: as in `load_study`.

    Returns:
        one row per arm and baseline, with the columns of `noisy-study table NAME --format json`: errors are fractions
        of 1, improvements per cent, intervals `[low, high]`. The notes of the table are in `.attrs["notes"]`,
        how the baseline was found in `.attrs["baseline_kind"]`, and the statistical rule in `.attrs["rule"]`.

    Raises:
        UserError: as `load_study`.
    """
    from study.results.formats.json import as_json
    from study.results.table import build_table

    bound_requests()
    return _table_frame(as_json(build_table(tracking_uri or tracking_uri_of(name), name)))


def compare(*names: str, tracking_uri: str | None = None) -> "pd.DataFrame":
    """One table over several studies of the same data, corrected over all of its tests.

    Args:
        *names: at least two studies. Each arm is compared with the baseline of its own study.
        tracking_uri: of the server that has all of these studies; without it, each study is found as in `load_study`.

    Returns:
        as `table`, with the column `study`.

    Raises:
        UserError: as `load_study`; the studies have other images, splits or preprocessing, and the message says which.

    Example:
        >>> from study import compare
        >>> compare("mnist-table-1", "mnist-search")[["study", "method", "improvement_percent", "verdict"]]
    """
    from study.results.compare import compared
    from study.results.formats.json import as_json
    from study.results.read import read_study

    bound_requests()
    return _table_frame(as_json(compared([read_study(tracking_uri or tracking_uri_of(name), name) for name in names])))


def _given(overrides: Mapping[str, Any]) -> list[str]:
    """Overrides as `--set` takes them."""
    return [f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in overrides.items()]


def _run(
    name: str, study: StudyConfig | str, data_root: str | Path | None, address: str | None, extends: bool = False
) -> Study:
    # Ray and PyTorch take seconds to load, and reading a study does not need them.
    from study.launch import run_study, settings_of

    settings = settings_of(name, data_root, address)
    run_study(study, settings, nullcontext(_Logged()), extends=extends, say=_log.info)
    return Study(name, settings.tracking_uri, settings.data_root)


class _Logged(Watcher):
    """Logs with Python's logging what a terminal would show."""

    def stage_begins(self, name: str, total: int, done: int, workers: int) -> None:
        _log.info("stage %s: %d trials, %d of them done before, %d at once", name, total, done, workers)

    def says(self, message: str) -> None:
        _log.warning(message)


def _table_frame(made: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame(made["rows"])
    frame.attrs.update({key: made[key] for key in ("study", "baseline_kind", "rule", "notes")})
    return frame


def _with_numbers(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Parameters as numbers, in columns that hold nothing else; MLflow keeps them as text."""
    import pandas as pd

    def numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
        known = column.dropna()
        converted = pd.to_numeric(known, errors="coerce")
        return pd.to_numeric(column) if len(known) and converted.notna().all() else column

    return runs.assign(**{name: numbers(runs[name]) for name in runs.columns if str(name).startswith("params.")})
