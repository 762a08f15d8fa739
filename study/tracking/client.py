"""The client that writes a study to MLflow.

Works on events. Every request has a time limit. MLflow does not retry requests, because a retry could create the same
run several times. An event can be applied again: a run is looked up by our own tag before it is created, and epochs
that are already there are left out. Knows nothing of waiting; the outbox retries.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from study.adapters.mlflow_transaction import Abandoned, one_transaction
from study.errors import TrackingUnavailable, UserError
from study.records import EpochRecord
from study.storage import Ownership
from study.tracking import schema, view
from study.tracking.address import answering
from study.tracking.artifacts import misplaced, place_of
from study.tracking.ended import EndedRun
from study.tracking.entities import LoggedMetric, as_input, portions, portions_of_tags
from study.tracking.events import (
    EpochsPassed,
    Event,
    MachineMeasured,
    RunBegan,
    RunEnded,
    StudyBegan,
    StudyEnded,
    StudyExtended,
    StudyParams,
    StudyTags,
    WritesRows,
    now_ms,
)
from study.tracking.known import KnownRun, StudyOnServer, differ
from study.tracking.ownership import ownership_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass
class _Gathered:
    """What is written to a run in one call: its parameters, and its epochs by their number."""

    params: Mapping[str, str] = field(default_factory=dict)
    epochs: dict[int, EpochRecord] = field(default_factory=dict)


def _grown(known: Mapping[str, str], params: Mapping[str, str]) -> dict[str, str]:
    """The tags for parameters that an extension changed."""
    names = [name for name in schema.GROWING if name in known and name in params]
    return {f"{schema.NOW}{name}": params[name] for name in names if known[name] != params[name]}


class TrackingClient:
    """Writes one study to the tracking server. The first method call sends the first request.

    Args:
        uri: the server's address. A store `sqlite:///…` that does not exist is created, under a lock, because two
            processes that open a new store at the same time break its migration.
        study: the experiment's name.
        owner: the study's id and its starts: nothing is written to a study of another id, or to one that another folder
            has resumed. Without it, whatever has this name is the study.
        parent: gives the events that make the parent run, for a server that lost it.
        says: takes a line when a run is replaced.

    Raises:
        TrackingUnavailable: from every method, if the server does not answer.
        UserError: from every method, if the server refuses. No message contains credentials.
    """

    def __init__(
        self,
        uri: str,
        study: str,
        owner: Ownership | None = None,
        parent: Callable[[], Sequence[Event]] = tuple,
        says: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._there = StudyOnServer(uri, study, owner)
        self._parent_events, self._says = parent, says
        self._stumbled = self._one_by_one = False
        self._outdated: set[str] = set()  # trials whose events are older than their runs on the server

    def find_study(self) -> str | None:
        """The parent run's id, or None if the server has no study of this name."""
        with answering(self._there.uri):
            self._there.find_parent()
        return self._there.parent

    def delete_study(self, former: str) -> None:
        """Delete the experiment, if there is one. Its name is free afterwards.

        Args:
            former: the name under which MLflow keeps the deleted experiment.
        """
        with answering(self._there.uri):
            self._there.find_experiment()
            if self._there.experiment is not None:
                self._client.rename_experiment(self._there.experiment_id, former)
                self._client.delete_experiment(self._there.experiment_id)
                self._there.forget()

    def apply(self, events: Iterable[Event]) -> None:
        """Write events in their order. Events that were written before change nothing.

        Everything for one run is sent together, at the latest with its end. If the server refuses, somebody may have
        deleted a run that is known here. Then the server is read again, and the events are applied once more.
        """
        events, was_known = tuple(events), self._there.is_read
        try:
            self._apply(events)
        except TrackingUnavailable:
            raise
        except (UserError, Abandoned) as error:
            if isinstance(error, UserError) and not was_known:
                raise
            self._apply(events)

    def missing(self, ended: Sequence[EndedRun]) -> list[EndedRun]:
        """Of runs that have ended, those that the server does not have with their outcome and their parameters."""
        if not ended:
            return []
        there = self._there
        try:
            with answering(there.uri):
                there.read()
        except UserError:
            self._stumbled = True
            there.forget()
            raise

        def is_there(run: EndedRun) -> bool:
            known = there.runs.get(run.began.trial_id)
            return (
                there.parent is not None
                and known is not None
                and known.outcome == run.ended.summary.outcome
                and not differ(known.params, run.began.params)
            )

        return [run for run in ended if not is_there(run)]

    def _apply(self, events: Sequence[Event]) -> None:
        try:
            with answering(self._there.uri):
                self._there.find_experiment()
                if not self._there.is_read:
                    self._there.read()
                if self._there.parent is None and not isinstance(next(iter(events), None), StudyBegan):
                    events = (*self._parent_events(), *events)
                shared = not self._one_by_one and all(isinstance(event, WritesRows) for event in events)
                with one_transaction(self._client) if shared else nullcontext():
                    self._write(events)
                    self._there.leave_mark()
        except (UserError, Abandoned):
            # The next attempt commits each write by itself, so that those before the one that fails arrive.
            self._stumbled = self._one_by_one = True
            self._there.forget()
            raise
        self._one_by_one = False

    def _write(self, events: Sequence[Event]) -> None:
        gathered: defaultdict[str, _Gathered] = defaultdict(_Gathered)
        for event in events:
            match event:
                case StudyBegan():
                    self._begin_study(event)
                case StudyExtended():
                    self._extend_study(event)
                case StudyTags():
                    for tags in portions_of_tags(event.tags):
                        self._log(self._begun_study(), tags=tags)
                case StudyParams():
                    self._describe_study(event.params)
                case MachineMeasured():
                    self._measure(event)
                case StudyEnded():
                    self._end_study(event)
                case RunBegan():
                    self._begin(event)
                    if not self._there.runs[event.trial_id].params:
                        gathered[event.trial_id].params = event.params
                case EpochsPassed():
                    # The first report of an epoch counts: it may have been trained again after a kill.
                    epochs = gathered[event.trial_id].epochs
                    epochs |= {record.epoch: record for record in event.epochs if record.epoch not in epochs}
                case RunEnded():
                    self._end(event, gathered.pop(event.trial_id, _Gathered()))
        for trial_id, what in gathered.items():
            self._send(trial_id, what)

    # ---------------------------------------------------------------------------------------------- the parent run

    def _begin_study(self, event: StudyBegan) -> None:
        there, owner = self._there, self._there.owner
        tags = {} if owner is None else ownership_tags(owner)
        if there.experiment is None:
            there.make_experiment(tags)
        for name, value in tags.items():
            if there.experiment is None or there.experiment.tags.get(name) != value:
                self._client.set_experiment_tag(there.experiment_id, name, value)
        tags = {name: value for name, value in tags.items() if name == schema.STUDY_ID}
        if there.parent is None:
            run = self._client.create_run(
                there.experiment_id, tags={schema.KIND: "study", **event.tags, **tags}, run_name=there.study
            )
            there.parent = there.run_id(run)
            there.adopt()
        else:
            self._log(there.parent, tags=tags)
        self._client.update_run(there.parent, status="RUNNING")
        if event.start is not None:
            # The tag's name contains the time, so writing the same start again changes nothing.
            name = f"{schema.START}{event.start.timestamp_ms}"
            self._log(there.parent, tags={name: event.start.model_dump_json()})
        known = self._params_of(there.parent)
        if schema.DATASET in known:
            self._log(there.parent, tags=_grown(known, event.params))
        else:
            # The parameters are written last: if they are there, everything before them is there too.
            self._keep_study_file(there.parent, event.study_file)
            self._client.set_experiment_tag(there.experiment_id, view.TAG, view.saved_view(now_ms()))
            if event.datasets:
                self._client.log_inputs(there.parent, [as_input(dataset) for dataset in event.datasets])
            self._log(there.parent, params=event.params)

    def _keep_study_file(self, parent: str, study_file: str) -> None:
        location = str(self._client.get_run(parent).info.artifact_uri)
        if (why_not := misplaced(self._there.uri, location)) is None:
            with tempfile.TemporaryDirectory(prefix="noisy-study-file-") as folder:
                file = Path(folder) / schema.STUDY_FILE
                file.write_text(study_file, encoding="utf-8")
                place_of(self._there.uri, location).log_artifact(str(file))
        else:
            self._says(f"the study's run has no {schema.STUDY_FILE}: {why_not}")

    def _extend_study(self, event: StudyExtended) -> None:
        # The tag is written last: if it is there, the study file of this extension, or of a later one, is there too.
        parent, name = self._begun_study(), f"{schema.EXTENSION}{event.extension.timestamp_ms}"
        if name not in self._client.get_run(parent).data.tags:
            self._keep_study_file(parent, event.study_file)
            self._log(parent, tags={name: event.extension.model_dump_json()})

    def _describe_study(self, params: Mapping[str, str]) -> None:
        parent = self._begun_study()
        known = self._params_of(parent)
        new = {name: value for name, value in params.items() if name not in known}
        self._log(parent, params=new, tags=_grown(known, params))

    def _measure(self, event: MachineMeasured) -> None:
        # The step is the Unix time in seconds, so steps also increase after a resume.
        at, step = event.timestamp_ms, event.timestamp_ms // 1000
        metrics = [(name, value, at, step) for name, value in event.metrics.items()]
        self._log(self._begun_study(), metrics=metrics)

    def _end_study(self, event: StudyEnded) -> None:
        if self._stumbled:
            self._there.read()
        self._client.set_terminated(self._begun_study(), status=event.status, end_time=event.timestamp_ms)

    def _begun_study(self) -> str:
        if self._there.parent is None:
            raise UserError(f"{self._there.where} no longer has a run of the study {self._there.study}")
        return self._there.parent

    # ------------------------------------------------------------------------------------------------------- events

    def _begin(self, event: RunBegan) -> None:
        parent = self._begun_study()
        known = self._there.runs.get(event.trial_id)
        self._outdated.discard(event.trial_id)
        if known is not None and differ(known.params, event.params):
            if event.timestamp_ms < known.began_ms:  # an outbox from a backup: the run is newer
                self._outdated.add(event.trial_id)
                return
            self._client.delete_run(known.run_id)
            del self._there.runs[event.trial_id]
            self._says(
                f"{event.trial_id} has other parameters now than its run {known.run_id} on the tracking server; that "
                "run is deleted, and the trial gets a new one"
            )
        if event.trial_id not in self._there.runs:
            run = self._client.create_run(
                self._there.experiment_id,
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
            self._there.runs[event.trial_id] = KnownRun(
                self._there.run_id(run), parent=parent, began_ms=event.timestamp_ms
            )

    def _end(self, event: RunEnded, gathered: _Gathered) -> None:
        summary, run = event.summary, self._there.runs.get(event.trial_id)
        if run is None or event.trial_id in self._outdated:
            return  # the run was deleted, or is newer; the comparison with the journal finds what is missing
        if event.params is not None:
            params = run.params or gathered.params
            if not params or differ(params, event.params) or len(run.epochs | set(gathered.epochs)) < summary.epochs:
                return  # an event before the end is lost; the comparison with the journal finds the trial
        metrics = {
            schema.BEST_VAL_ERROR: summary.best_val_error,
            schema.BEST_EPOCH: summary.best_epoch,
            schema.TRAIN_SECONDS: summary.train_seconds,
            schema.EPOCHS_TRAINED: summary.epochs,
            schema.TEST_ERROR: summary.test_error,
            schema.PREDICTED_CLASSES: summary.predicted_classes,
            schema.LOGIT_RMS: summary.logit_rms,
            schema.NOISE_RMS: summary.noise_rms,
            schema.TEACHER_AGREEMENT: summary.teacher_agreement,
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
        run.outcome = summary.outcome
        status = {"completed": "FINISHED", "pruned": "KILLED"}.get(summary.outcome, "FAILED")
        self._client.set_terminated(run.run_id, status=status, end_time=event.timestamp_ms)

    def _send(
        self,
        trial_id: str,
        gathered: _Gathered,
        metrics: Sequence[LoggedMetric] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write what was gathered for a run, then these metrics, then these tags."""
        run = self._there.runs.get(trial_id)
        if run is None or trial_id in self._outdated:
            return  # somebody has deleted it, or it is newer
        new = [gathered.epochs[epoch] for epoch in sorted(gathered.epochs) if epoch not in run.epochs]
        of_epochs = [
            (name, float(value), record.timestamp_ms, record.epoch)
            for record in new
            for name, value in (
                (schema.TRAIN_LOSS, record.train_loss),
                (schema.VAL_ERROR, record.val_error),
                (schema.IMAGES_PER_SECOND, record.images_per_second),
            )
        ]
        *full, last = portions([*of_epochs, *metrics])
        params = gathered.params
        for portion in full:
            self._log(run.run_id, metrics=portion, params=params)
            params = {}
        self._log(run.run_id, metrics=last, params=params, tags=tags)
        if gathered.params:
            run.params = gathered.params
        run.epochs |= {record.epoch for record in new}

    # ---------------------------------------------------------------------------------------------------- plumbing

    @property
    def _client(self) -> "MlflowClient":
        return self._there.client

    def _params_of(self, run_id: str) -> dict[str, str]:
        params: dict[str, str] = self._client.get_run(run_id).data.params
        return params

    def _log(
        self,
        run_id: str,
        metrics: Sequence[LoggedMetric] = (),
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
