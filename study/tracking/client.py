"""The one place that talks to MLflow to write.

Works on events. Every call is bounded in time and never retried below us (MLflow would make a run four times), and
an event can be applied again without harm: runs are found by our own tag before one is made, and epochs that are
already there are left out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from study.errors import UserError
from study.records import EpochRecord
from study.tracking import schema
from study.tracking.address import answering, bound_requests, first_opening, without_credentials
from study.tracking.events import EpochsPassed, Event, RunBegan, RunEnded

if TYPE_CHECKING:
    from mlflow.entities import Run

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
"""MLflow's words for a study that is done, one that failed, and one that was interrupted and can be resumed."""

MAX_METRICS = 1000
"""MLflow's own limit for one `log_batch`."""


class TrackingClient:
    """Writes one study to the tracking server.

    Args:
        uri: where; `sqlite:///…` is made if it does not exist, under a lock, because two processes that open a new
            store at once break its migration.
        study: the experiment's name.
        seconds_between_batches: epochs are gathered for so long before they are sent; a run's end sends the rest.

    Raises:
        UserError: from every method, when the server does not answer or refuses; no credentials in it.
    """

    def __init__(self, uri: str, study: str, seconds_between_batches: float = 1.0) -> None:
        bound_requests()
        from mlflow.tracking import MlflowClient

        self._uri, self._study = uri, study
        self._pause_ms = seconds_between_batches * 1000
        with answering(uri), first_opening(uri):
            self._client = MlflowClient(tracking_uri=uri)
            found = self._client.get_experiment_by_name(study)
        if found is not None and found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment {study} was deleted on the tracking server {without_credentials(uri)}; restore it "
                f"(mlflow experiments restore --experiment-id {found.experiment_id}) or choose another name"
            )
        self._experiment_id = found.experiment_id if found is not None else None
        self._runs: dict[str, str] = {}
        self._described: set[str] = set()  # trials whose run has its parameters
        self._last_step: dict[str, int] = {}
        self._waiting: dict[str, list[EpochRecord]] = {}
        self._sent_at_ms: dict[str, int] = {}

    # ---------------------------------------------------------------------------------------------- the parent run

    def find_study(self) -> str | None:
        """The parent run's id, or None where the server has no study of this name."""
        with answering(self._uri):
            runs = self._search(f"tags.`{schema.KIND}` = 'study'")
        return runs[0].info.run_id if runs else None

    def begin_study(self, study_file: str, params: Mapping[str, str], tags: Mapping[str, str]) -> str:
        """The parent run: made once, set RUNNING again by a resume.

        Returns:
            the run's id.
        """
        parent = self.find_study()
        with answering(self._uri):
            if self._experiment_id is None:
                self._experiment_id = self._client.create_experiment(self._study)
            if parent is None:
                run = self._client.create_run(
                    self._experiment_id, tags={schema.KIND: "study", **tags}, run_name=self._study
                )
                parent = run.info.run_id
            self._client.update_run(parent, status="RUNNING")
            self._parent = parent
            if schema.DATASET not in self._params_of(parent):
                # The parameters come last: where they are, nothing before them is missing.
                self._client.log_text(parent, study_file, schema.STUDY_FILE)
                self._log(parent, params=params)
            self._learn_what_is_there()
        return parent

    def log_study(self, params: Mapping[str, str]) -> None:
        """More parameters of the parent run; those it has already stay as they are."""
        with answering(self._uri):
            known = self._params_of(self._parent)
            self._log(self._parent, params={name: value for name, value in params.items() if name not in known})

    def end_study(self, status: RunStatus) -> None:
        """End the parent run; a resume sets it running again."""
        with answering(self._uri):
            self._client.set_terminated(self._parent, status=status)

    # ------------------------------------------------------------------------------------------------------- events

    def apply(self, event: Event) -> None:
        """Write one event; a second time changes nothing, so a server that stumbles is asked again, four times."""
        for attempt in Retrying(
            stop=stop_after_attempt(4),
            wait=wait_exponential(multiplier=1, max=8),
            retry=retry_if_exception_type(UserError),
            reraise=True,
        ):
            with attempt, answering(self._uri):
                if attempt.retry_state.attempt_number > 1:
                    self._learn_what_is_there()
                self._write(event)

    def _write(self, event: Event) -> None:
        match event:
            case RunBegan():
                self._begin(event)
            case EpochsPassed():
                self._epochs(event)
            case RunEnded():
                self._end(event)

    def _begin(self, event: RunBegan) -> None:
        assert self._experiment_id is not None
        if event.trial_id not in self._runs:
            run = self._client.create_run(
                self._experiment_id,
                start_time=event.timestamp_ms,
                tags={
                    schema.PARENT: self._parent,
                    schema.KIND: event.kind,
                    schema.TRIAL_ID: event.trial_id,
                    schema.ROLE: event.role,
                    schema.STAGE: event.stage,
                },
                run_name=event.name,
            )
            self._runs[event.trial_id] = run.info.run_id
        if event.trial_id not in self._described:
            self._log(self._runs[event.trial_id], params=event.params)
            self._described.add(event.trial_id)

    def _epochs(self, event: EpochsPassed) -> None:
        waiting = self._waiting.setdefault(event.trial_id, [])
        known = max(self._last_step.get(event.trial_id, 0), waiting[-1].epoch if waiting else 0)
        waiting += [record for record in event.epochs if record.epoch > known]
        if waiting and waiting[-1].timestamp_ms - self._sent_at_ms.get(event.trial_id, 0) >= self._pause_ms:
            self._send(event.trial_id)

    def _end(self, event: RunEnded) -> None:
        summary = event.summary
        metrics = {
            schema.BEST_VAL_ERROR: summary.best_val_error,
            schema.BEST_EPOCH: summary.best_epoch,
            schema.TRAIN_SECONDS: summary.train_seconds,
            schema.EPOCHS_TRAINED: summary.epochs,
            schema.TEST_ERROR: summary.test_error,
            schema.EPOCHS_TO_TARGET: summary.epochs_to_target,
            schema.SECONDS_TO_TARGET: summary.seconds_to_target,
        }
        run_id = self._runs[event.trial_id]
        self._send(event.trial_id)
        self._log(
            run_id,
            metrics=[
                (name, float(value), event.timestamp_ms, summary.epochs)
                for name, value in metrics.items()
                if value is not None
            ],
            tags={
                schema.OUTCOME: summary.outcome,
                **({schema.REASON: summary.reason} if summary.reason else {}),
            },
        )
        status = {"completed": "FINISHED", "pruned": "KILLED"}.get(summary.outcome, "FAILED")
        self._client.set_terminated(run_id, status=status, end_time=event.timestamp_ms)

    def _send(self, trial_id: str) -> None:
        waiting = self._waiting.get(trial_id)
        if not waiting:
            return
        metrics = [
            (name, float(value), record.timestamp_ms, record.epoch)
            for record in waiting
            for name, value in (
                (schema.TRAIN_LOSS, record.train_loss),
                (schema.VAL_ERROR, record.val_error),
                (schema.IMAGES_PER_SECOND, record.images_per_second),
            )
        ]
        for start in range(0, len(metrics), MAX_METRICS):
            self._log(self._runs[trial_id], metrics=metrics[start : start + MAX_METRICS])
        del self._waiting[trial_id]
        self._last_step[trial_id] = waiting[-1].epoch
        self._sent_at_ms[trial_id] = waiting[-1].timestamp_ms

    # ---------------------------------------------------------------------------------------------------- plumbing

    def _learn_what_is_there(self) -> None:
        """After an interruption: which trials have a run, and up to which epoch."""
        for run in self._search(f"tags.`{schema.PARENT}` = '{self._parent}'"):
            trial_id = run.data.tags.get(schema.TRIAL_ID)
            if trial_id is None:
                continue
            self._runs[trial_id] = run.info.run_id
            if schema.METHOD in run.data.params:
                self._described.add(trial_id)
            if schema.OUTCOME not in run.data.tags and schema.VAL_ERROR in run.data.metrics:
                history = self._client.get_metric_history(run.info.run_id, schema.VAL_ERROR)
                self._last_step[trial_id] = max(metric.step for metric in history)
            elif schema.BEST_EPOCH in run.data.metrics:
                history = self._client.get_metric_history(run.info.run_id, schema.BEST_EPOCH)
                self._last_step[trial_id] = history[-1].step

    def _params_of(self, run_id: str) -> dict[str, str]:
        params: dict[str, str] = self._client.get_run(run_id).data.params
        return params

    def _search(self, filter_string: str) -> list["Run"]:
        runs: list[Run] = []
        token: str | None = None
        while self._experiment_id is not None:
            page = self._client.search_runs(
                [self._experiment_id], filter_string, max_results=1000, order_by=["start_time ASC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                break
        return runs

    def _log(
        self,
        run_id: str,
        metrics: list[tuple[str, float, int, int]] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_batch(
            run_id,
            metrics=[Metric(*metric) for metric in metrics or []],
            params=[Param(name, value) for name, value in (params or {}).items()],
            tags=[RunTag(name, value) for name, value in (tags or {}).items()],
            synchronous=True,
        )


def now_ms() -> int:
    """Unix time in milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)
