"""Reads one study from a tracking server.

Works on the names of the tracking schema and returns pandas frames with the columns of MLflow's own `search_runs`
(`params.sigma`, `metrics.test_error`, `tags.…`). It writes nothing and creates no store. Knows nothing of tables.
"""

import difflib
import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from study.errors import UserError
from study.plain import plain
from study.stages import SEARCH, STAGES_OF_A_TABLE
from study.tracking import schema
from study.tracking.address import answering, first_opening, retry_read, store_exists
from study.tracking.credentials import without_credentials
from study.tracking.entities import fullest_first
from study.tracking.known import RUNS_PER_PAGE
from study.tracking.pages import all_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OUTCOMES = ("completed", "running", "pruned", "diverged", "failed", "unfinished")
"""The outcomes of a trial, in the order in which they are listed."""

ERROR_METRICS = (schema.TEST_ERROR, schema.BEST_VAL_ERROR, schema.VAL_ERROR)
"""Shares of misclassified images: whatever reads one may rely on a value in [0, 1]."""

_RUN_COLUMNS = ("run_id", "status", "start_time", "end_time")
_TAG_COLUMNS = tuple(f"tags.{tag}" for tag in (schema.KIND, schema.ROLE, schema.STAGE, schema.OUTCOME))


@dataclass(frozen=True)
class TrackedStudy:
    """One study as it is on the tracking server.

    Attributes:
        name: the study, which is also the MLflow experiment.
        trials: one row per trial of any stage and outcome, in the order they began: `run_id`, `status`, `start_time`
            and `end_time` (Unix milliseconds), then `params.*` (text), `metrics.*` (last values), `tags.*`; missing
            values are NaN or None, as in pandas.
        teachers: the same for teacher runs.
        params, tags, status: of the parent run; empty and None if there is none. Parameters that an extension changed
            have their value of now.
        data: the settings of the study's data, as its training images are logged; empty if the parent run has none.
        deleted_runs: ids of the runs of trials and teachers that somebody deleted and that have no other run.

    Raises:
        UserError: an error metric of a run is outside [0, 1]; the message names the run.
    """

    name: str
    trials: pd.DataFrame
    teachers: pd.DataFrame
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    deleted_runs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for runs in (self.trials, self.teachers):
            for metric in ERROR_METRICS:
                if (column := f"metrics.{metric}") in runs:
                    errors = pd.to_numeric(runs[column], errors="coerce")
                    wrong = errors[(errors < 0) | (errors > 1)]
                    if len(wrong):
                        run = runs["run_id"][wrong.index[0]]
                        raise not_a_share(f"study {self.name}, run {run}", metric, wrong.iloc[0])

    def completed(self) -> pd.DataFrame:
        """The trials that may enter a table: completed, and not of the search."""
        stages = self.trials[f"tags.{schema.STAGE}"]
        return self.trials[self.outcomes().eq("completed") & stages.isin(STAGES_OF_A_TABLE)]

    def searched(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The search's trials of any outcome: those of arms, and those of the baseline."""
        trials = self.trials[self.trials[f"tags.{schema.STAGE}"] == SEARCH]
        is_baseline = trials[f"tags.{schema.ROLE}"] == "baseline"
        return trials[~is_baseline], trials[is_baseline]

    def counts(self) -> pd.DataFrame:
        """Trials per stage (rows) and outcome (columns).

        Besides the schema's outcomes there are `running`, and `unfinished` for a run that ended without an outcome.
        """
        return pd.crosstab(self.trials[f"tags.{schema.STAGE}"].rename("stage"), self.outcomes().rename("outcome"))

    def outcomes(self) -> "pd.Series[str]":
        """The outcome of every trial, one of `OUTCOMES`."""
        stopped = self.status in (
            "KILLED",
            "FAILED",
        )  # then its trials are not running, even if their runs have the status RUNNING
        without = self.trials["status"].map(lambda s: "running" if s == "RUNNING" and not stopped else "unfinished")
        return self.trials[f"tags.{schema.OUTCOME}"].fillna(without)


def not_a_share(where: str, metric: str, value: float) -> UserError:
    """The message about an error metric outside [0, 1]. MLflow returns an infinite value as 1.8e308."""
    return UserError(
        f"{where}: metric `{metric}` is {value:g}; expected a share of misclassified images from 0 to 1; "
        "correct or delete the run"
    )


def epochs_trained(trials: pd.DataFrame) -> int | None:
    """How many epochs these trials trained in total; None if no run says it.

    Args:
        trials: as in `TrackedStudy`.
    """
    column = f"metrics.{schema.EPOCHS_TRAINED}"
    if column not in trials or trials[column].isna().all():
        return None
    return int(trials[column].sum())


def read_study(tracking_uri: str, study: str) -> TrackedStudy:
    """Read a study.

    Args:
        tracking_uri: the address of an MLflow server, or `sqlite:///FILE`.
        study: the study's name.

    Raises:
        UserError: the server does not answer, has no study of that name, or an error metric of a run is outside [0, 1].
            No message contains credentials.
    """
    _require_existing_store(tracking_uri)
    with answering(tracking_uri):
        # MLflow takes seconds to import, and rendering a table does not need it.
        from mlflow import MlflowClient

        with first_opening(tracking_uri):
            client = MlflowClient(tracking_uri=tracking_uri)
        experiment = client.get_experiment_by_name(study)
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise UserError(
                f"the study `{study}` was deleted on the tracking server {without_credentials(tracking_uri)}; restore "
                f"it: mlflow experiments restore --experiment-id {experiment.experiment_id}"
            )
        if experiment is None:
            raise UserError(
                f"there is no study `{study}` on the tracking server {without_credentials(tracking_uri)}"
                f"{_nearest_names(study, _study_names(client))}"
            )
        with _no_garbage_collection():
            runs = list(_runs(tracking_uri, client, experiment.experiment_id))
            deleted = list(_runs(tracking_uri, client, experiment.experiment_id, deleted=True))

    parents = fullest_first(_of_kind(runs, "study"))
    parent = parents[0] if parents else None
    if parent is None and (deleted_parents := _of_kind(deleted, "study")):
        raise UserError(
            f"the parent run of study {study} was deleted on the tracking server; restore it: "
            f"mlflow runs restore --run-id {fullest_first(deleted_parents)[0].info.run_id}"
        )
    there = {run.data.tags.get(schema.TRIAL_ID) for run in runs}
    missing = [run for run in deleted if run.data.tags.get(schema.TRIAL_ID, None) not in {None, *there}]
    return TrackedStudy(
        study,
        trials=_frame(_of_kind(runs, "trial")),
        teachers=_frame(_of_kind(runs, "teacher")),
        params=_params_now(_plain(parent.data.params), _plain(parent.data.tags)) if parent is not None else {},
        tags=_plain(parent.data.tags) if parent is not None else {},
        status=parent.info.status if parent is not None else None,
        data=_data_of(parent) if parent is not None else {},
        deleted_runs=tuple(plain(run.info.run_id) for run in missing),
    )


def _params_now(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a parent run, with the values that extensions gave them."""
    now = {tag.removeprefix(schema.NOW): value for tag, value in tags.items() if tag.startswith(schema.NOW)}
    return {**params, **now}


def _runs(tracking_uri: str, client: "MlflowClient", experiment_id: str, deleted: bool = False) -> Iterable["Run"]:
    from mlflow.entities import ViewType

    # Oldest first: trials that begin while we read come behind what was read, so that no page shifts.
    return all_of(
        lambda token: retry_read(
            tracking_uri,
            client.search_runs,
            [experiment_id],
            run_view_type=ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY,
            max_results=RUNS_PER_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
    )


def _data_of(parent: "Run") -> dict[str, Any]:
    """The data section of the study file, from the source of a logged data set (`study.tracking.provenance`)."""
    for used in parent.inputs.dataset_inputs if parent.inputs is not None else ():
        try:
            found = json.loads(plain(json.loads(used.dataset.source)["tags"][schema.DATA]))
        except (ValueError, TypeError, KeyError):
            continue  # a data set that somebody logged in another way
        if isinstance(found, dict):
            return found
    return {}


def _plain(texts: Mapping[str, str]) -> dict[str, str]:
    """Parameters or tags without control characters. Everybody who may write to the server chooses names and texts."""
    return {plain(name): plain(text) for name, text in texts.items()}


def _of_kind(runs: list["Run"], kind: schema.Kind) -> list["Run"]:
    return [run for run in runs if run.data.tags.get(schema.KIND) == kind]


def _frame(runs: list["Run"]) -> pd.DataFrame:
    """One row per run; the columns a reader relies on are there even when no run has them."""
    records: list[dict[str, Any]] = [
        {
            "run_id": plain(run.info.run_id),
            "status": plain(run.info.status),
            "start_time": run.info.start_time,
            "end_time": run.info.end_time,
            **{f"params.{name}": value for name, value in _plain(run.data.params).items()},
            **{f"metrics.{plain(name)}": value for name, value in run.data.metrics.items()},
            **{f"tags.{name}": value for name, value in _plain(run.data.tags).items()},
        }
        for run in runs
    ]
    frame = pd.DataFrame.from_records(records)
    for column in (*_RUN_COLUMNS, *_TAG_COLUMNS):
        if column not in frame:
            frame[column] = pd.Series(dtype="str")
    return frame


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Turn off Python's garbage collection while reading. Reading creates some hundred thousand objects that all stay,
    and scanning them takes longer than reading (10,000 trials from SQLite: 12 s with it, 5 s without)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _require_existing_store(tracking_uri: str) -> None:
    """Refuse a store that does not exist; MLflow would create an empty one."""
    is_folder = "://" not in tracking_uri or tracking_uri.startswith("file://")
    if (is_folder and not Path(tracking_uri.removeprefix("file://")).exists()) or not store_exists(tracking_uri):
        raise UserError(
            f"there is no tracking store {without_credentials(tracking_uri)}: no study was run here yet, or "
            "MLFLOW_TRACKING_URI names another"
        )


def _study_names(client: "MlflowClient") -> list[str]:
    """Names of the experiments, the latest first."""
    found = all_of(
        lambda token: client.search_experiments(
            max_results=RUNS_PER_PAGE, order_by=["last_update_time DESC"], page_token=token
        )
    )
    return [experiment.name for experiment in found if experiment.name != "Default"]


def _nearest_names(wanted: str, known: list[str]) -> str:
    if not known:
        return "; it has no study at all"
    close = difflib.get_close_matches(wanted, known, n=3)
    if close:
        return f"; did you mean {' or '.join(f'`{name}`' for name in close)}?"
    shown = ", ".join(known[:5])
    return f"; it has {shown}" + (f" and {len(known) - 5} more" if len(known) > 5 else "")
