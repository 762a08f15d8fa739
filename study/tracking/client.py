"""The client that writes a study to MLflow.

Works on events. Every request has a time limit. MLflow does not retry requests, because a retry could create the same
run several times. An event can be applied again: a run is looked up by our own tag before it is created, and epochs
that are already there are left out. Knows nothing of waiting; the outbox retries.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from study.errors import TrackingUnavailable, UserError
from study.records import EpochRecord
from study.tracking import schema, view
from study.tracking.address import answering, bound_requests, first_opening, without_credentials
from study.tracking.events import (
    DatasetUsed,
    EpochsPassed,
    Event,
    MachineMeasured,
    RunBegan,
    RunEnded,
    StudyBegan,
    StudyEnded,
    StudyParams,
    now_ms,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

MAX_METRICS = 800
"""The most metrics in one `log_batch`. MLflow accepts 1,000 metrics, parameters and tags together."""

RUNS_PER_PAGE = 250
"""The most runs in one page of a search. A busy server needs seconds for 1,000, and the limit of a request is 3 s."""


_Metric = tuple[str, float, int, int]
"""Name, value, Unix time in milliseconds, step."""


@dataclass
class _Gathered:
    """What is written to a run in one call: its parameters, and its epochs by their number."""

    params: Mapping[str, str] = field(default_factory=dict)
    epochs: dict[int, EpochRecord] = field(default_factory=dict)


class TrackingClient:
    """Writes one study to the tracking server. The first method call sends the first request.

    Args:
        uri: the server's address. A store `sqlite:///…` that does not exist is created, under a lock, because two
            processes that open a new store at the same time break its migration.
        study: the experiment's name.

    Raises:
        TrackingUnavailable: from every method, if the server does not answer.
        UserError: from every method, if the server refuses. No message contains credentials.
    """

    def __init__(self, uri: str, study: str) -> None:
        self._uri, self._study = uri, study
        self._opened: MlflowClient | None = None
        self._stumbled = False
        self._forget()

    def _forget(self) -> None:
        """Forget what the server has. It is read again before the next event."""
        self._known = False
        self._experiment_id: str | None = None
        self._parent: str | None = None
        self._doubled_parents: list[str] = []
        self._runs: dict[str, str] = {}
        self._described: set[str] = set()  # trials whose run has its parameters
        self._last_step: dict[str, int] = {}

    def find_study(self) -> str | None:
        """The parent run's id, or None if the server has no study of this name."""
        with answering(self._uri):
            self._find_parent()
        return self._parent

    def apply(self, events: Iterable[Event]) -> None:
        """Write events in their order. Events that were written before change nothing.

        Everything for one run is sent together, at the latest with its end. If the server refuses, somebody may have
        deleted a run that is known here. Then the server is read again, and the events are applied once more.
        """
        events, was_known = tuple(events), self._known
        try:
            self._apply(events)
        except TrackingUnavailable:
            raise
        except UserError:
            if not was_known:
                raise
            self._apply(events)

    def _apply(self, events: Iterable[Event]) -> None:
        gathered: defaultdict[str, _Gathered] = defaultdict(_Gathered)
        try:
            with answering(self._uri):
                if not self._known:
                    self._learn_what_is_there()
                for event in events:
                    match event:
                        case StudyBegan():
                            self._begin_study(event)
                        case StudyParams():
                            self._describe_study(event.params)
                        case MachineMeasured():
                            self._measure(event)
                        case StudyEnded():
                            self._end_study(event)
                        case RunBegan():
                            self._begin(event)
                            if event.trial_id not in self._described:
                                gathered[event.trial_id].params = event.params
                        case EpochsPassed():
                            # The first report of an epoch counts: it may have been trained again after a kill.
                            epochs = gathered[event.trial_id].epochs
                            epochs |= {record.epoch: record for record in event.epochs if record.epoch not in epochs}
                        case RunEnded():
                            self._end(event, gathered.pop(event.trial_id, _Gathered()))
                for trial_id, what in gathered.items():
                    self._send(trial_id, what)
        except UserError:
            self._stumbled = True
            self._forget()
            raise

    # ---------------------------------------------------------------------------------------------- the parent run

    def _begin_study(self, event: StudyBegan) -> None:
        if self._experiment_id is None:
            self._experiment_id = self._client.create_experiment(self._study)
        if self._parent is None:
            run = self._client.create_run(
                self._experiment_id, tags={schema.KIND: "study", **event.tags}, run_name=self._study
            )
            self._parent = run.info.run_id
        self._client.update_run(self._parent, status="RUNNING")
        if event.start is not None:
            # The tag's name contains the time, so writing the same start again changes nothing.
            name = f"{schema.START}{event.start.timestamp_ms}"
            self._log(self._parent, tags={name: event.start.model_dump_json()})
        if schema.DATASET not in self._params_of(self._parent):
            # The parameters are written last: if they are there, everything before them is there too.
            self._client.log_text(self._parent, event.study_file, schema.STUDY_FILE)
            self._client.set_experiment_tag(self._experiment_id, view.TAG, view.saved_view(now_ms()))
            if event.datasets:
                self._client.log_inputs(self._parent, [_as_input(dataset) for dataset in event.datasets])
            self._log(self._parent, params=event.params)

    def _describe_study(self, params: Mapping[str, str]) -> None:
        parent = self._begun_study()
        known = self._params_of(parent)
        self._log(parent, params={name: value for name, value in params.items() if name not in known})

    def _measure(self, event: MachineMeasured) -> None:
        # The step is the Unix time in seconds, so steps also increase after a resume.
        at, step = event.timestamp_ms, event.timestamp_ms // 1000
        metrics = [(name, value, at, step) for name, value in event.metrics.items()]
        self._log(self._begun_study(), metrics=metrics)

    def _end_study(self, event: StudyEnded) -> None:
        if self._stumbled:
            self._learn_what_is_there()
        self._client.set_terminated(self._begun_study(), status=event.status, end_time=event.timestamp_ms)

    def _begun_study(self) -> str:
        if self._parent is None:
            raise UserError(
                f"the tracking server {without_credentials(self._uri)} no longer has a run of the study {self._study}"
            )
        return self._parent

    # ------------------------------------------------------------------------------------------------------- events

    def _begin(self, event: RunBegan) -> None:
        parent = self._begun_study()
        assert self._experiment_id is not None  # a parent run is always in an experiment
        if event.trial_id not in self._runs:
            run = self._client.create_run(
                self._experiment_id,
                start_time=event.timestamp_ms,
                tags={
                    schema.PARENT: parent,
                    schema.KIND: event.kind,
                    schema.TRIAL_ID: event.trial_id,
                    schema.ROLE: event.role,
                    schema.STAGE: event.stage,
                },
                run_name=event.name,
            )
            self._runs[event.trial_id] = run.info.run_id

    def _end(self, event: RunEnded, gathered: _Gathered) -> None:
        summary = event.summary
        metrics = {
            schema.BEST_VAL_ERROR: summary.best_val_error,
            schema.BEST_EPOCH: summary.best_epoch,
            schema.TRAIN_SECONDS: summary.train_seconds,
            schema.EPOCHS_TRAINED: summary.epochs,
            schema.TEST_ERROR: summary.test_error,
            schema.PREDICTED_CLASSES: summary.predicted_classes,
            schema.EPOCHS_TO_TARGET: summary.epochs_to_target,
            schema.SECONDS_TO_TARGET: summary.seconds_to_target,
        }
        # The outcome is written last: if it is there, everything before it is there too.
        self._send(
            event.trial_id,
            gathered,
            metrics=[
                (name, float(value), event.timestamp_ms, summary.epochs)
                for name, value in metrics.items()
                if value is not None
            ],
            tags={
                schema.OUTCOME: summary.outcome,
                **({schema.REASON: summary.reason} if summary.reason else {}),
                **({schema.REPEATS: summary.repeats} if summary.repeats else {}),
            },
        )
        if (run_id := self._runs.get(event.trial_id)) is not None:
            status = {"completed": "FINISHED", "pruned": "KILLED"}.get(summary.outcome, "FAILED")
            self._client.set_terminated(run_id, status=status, end_time=event.timestamp_ms)

    def _send(
        self,
        trial_id: str,
        gathered: _Gathered,
        metrics: Sequence[_Metric] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write what was gathered for a run, then these metrics, then these tags."""
        run_id = self._runs.get(trial_id)
        if run_id is None:
            return  # somebody has deleted it
        known = self._last_step.get(trial_id, 0)
        new = [gathered.epochs[epoch] for epoch in sorted(gathered.epochs) if epoch > known]
        of_epochs = [
            (name, float(value), record.timestamp_ms, record.epoch)
            for record in new
            for name, value in (
                (schema.TRAIN_LOSS, record.train_loss),
                (schema.VAL_ERROR, record.val_error),
                (schema.IMAGES_PER_SECOND, record.images_per_second),
            )
        ]
        *full, last = _portions([*of_epochs, *metrics])
        params = gathered.params
        for portion in full:
            self._log(run_id, metrics=portion, params=params)
            params = {}
        self._log(run_id, metrics=last, params=params, tags=tags)
        if gathered.params:
            self._described.add(trial_id)
        if new:
            self._last_step[trial_id] = new[-1].epoch

    # ---------------------------------------------------------------------------------------------------- plumbing

    @property
    def _client(self) -> "MlflowClient":
        if self._opened is None:
            bound_requests()
            from mlflow import MlflowClient

            with first_opening(self._uri):
                self._opened = MlflowClient(tracking_uri=self._uri)
                self._opened.get_experiment_by_name(self._study)  # the first request creates a store that is missing
        return self._opened

    def _find_parent(self) -> None:
        found = self._client.get_experiment_by_name(self._study)
        if found is None:
            return
        if found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment {self._study} was deleted on the tracking server {without_credentials(self._uri)}; "
                f"restore it (mlflow experiments restore --experiment-id {found.experiment_id}) or choose another name"
            )
        self._experiment_id = found.experiment_id
        runs = fullest_first(self._search(f"tags.`{schema.KIND}` = 'study'"))
        self._parent = runs[0].info.run_id if runs else None
        self._doubled_parents = [run.info.run_id for run in runs[1:]]

    def _learn_what_is_there(self) -> None:
        """Read which trials have a run, and up to which epoch.

        A request that timed out may still have reached the server and created a run. So a trial or the study may have
        several runs: the one with the most in it stays, and the others are deleted.
        """
        self._find_parent()
        for run_id in self._doubled_parents:
            self._client.delete_run(run_id)
        of_trials: dict[str, list[Run]] = {}
        for run in self._search(f"tags.`{schema.PARENT}` = '{self._parent}'") if self._parent is not None else ():
            if schema.TRIAL_ID in run.data.tags:
                of_trials.setdefault(run.data.tags[schema.TRIAL_ID], []).append(run)
        for trial_id, runs in of_trials.items():
            run, *doubled = fullest_first(runs)
            for other in doubled:
                self._client.delete_run(other.info.run_id)
            self._runs[trial_id] = run.info.run_id
            if schema.METHOD in run.data.params:
                self._described.add(trial_id)
            if schema.OUTCOME not in run.data.tags and schema.VAL_ERROR in run.data.metrics:
                history = self._client.get_metric_history(run.info.run_id, schema.VAL_ERROR)
                self._last_step[trial_id] = max(metric.step for metric in history)
            elif schema.EPOCHS_TRAINED in run.data.metrics:  # a run that ended has it; this saves one request per run
                self._last_step[trial_id] = int(run.data.metrics[schema.EPOCHS_TRAINED])
        self._known = True

    def _params_of(self, run_id: str) -> dict[str, str]:
        params: dict[str, str] = self._client.get_run(run_id).data.params
        return params

    def _search(self, filter_string: str) -> list["Run"]:
        runs: list[Run] = []
        token: str | None = None
        while self._experiment_id is not None:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string,
                max_results=RUNS_PER_PAGE,
                order_by=["start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                break
        return runs

    def _log(
        self,
        run_id: str,
        metrics: Sequence[_Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_batch(
            run_id,
            metrics=[Metric(*metric) for metric in metrics],
            params=[Param(name, value) for name, value in (params or {}).items()],
            tags=[RunTag(name, value) for name, value in (tags or {}).items()],
            synchronous=True,
        )


def _portions(metrics: Sequence[_Metric]) -> list[Sequence[_Metric]]:
    """The metrics in portions of `MAX_METRICS`, in order; one empty portion if there are none."""
    return [metrics[start : start + MAX_METRICS] for start in range(0, max(1, len(metrics)), MAX_METRICS)]


def _as_input(used: DatasetUsed) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import Schema, TensorSpec

    inputs = Schema([TensorSpec(np.dtype(used.dtype), (-1, *used.shape[1:]), name="images")])
    labels = Schema([TensorSpec(np.dtype(np.int64), (-1,), name="labels")])
    schemas = {"mlflow_tensorspec": {"features": inputs.to_json(), "targets": labels.to_json()}}
    return DatasetInput(
        dataset=Dataset(
            name=used.name,
            digest=used.digest,
            source_type="code",
            source=used.source,
            schema=json.dumps(schemas),
            profile=json.dumps({"features_shape": list(used.shape), "num_classes": used.classes}),
        ),
        tags=[InputTag("mlflow.data.context", used.context)],
    )


def fullest_first(runs: "list[Run]") -> "list[Run]":
    """Runs of one trial, or of one study, sorted by how much is in them, the fullest first."""

    def fullness(run: "Run") -> tuple[int, int, str]:
        return len(run.data.tags) + len(run.data.params), len(run.data.metrics), run.info.run_id

    return sorted(runs, key=fullness, reverse=True)
