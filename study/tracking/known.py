"""What the tracking server has of one study, as it was last read.

Works on MLflow's client: finds the experiment by the study's name, the parent run and the trials' runs by our own tags.
Makes the experiment, and deletes runs that exist twice because a request timed out. Writes nothing else. Knows nothing
of events.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from study.errors import TrackingUnavailable, UserError
from study.storage import Ownership
from study.tracking import schema
from study.tracking.address import bound_requests, first_opening, sqlite_file
from study.tracking.credentials import without_credentials
from study.tracking.entities import fullest_first
from study.tracking.ownership import refuse_another_owner
from study.tracking.pages import all_of, metric_history

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

RUNS_PER_PAGE = 250
"""The most runs in one page of a search. A busy server needs seconds for 1,000, and the limit of a request is 3 s."""


def _identity(file: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


CUT = 250
"""How many characters of a parameter every MLflow server keeps; old ones cut what is longer."""


def differ(known: Mapping[str, str], params: Mapping[str, str]) -> bool:
    """Whether a parameter that two runs both have differs."""
    return any(known[name][:CUT] != params[name][:CUT] for name in known.keys() & params.keys())


@dataclass
class KnownRun:
    """A trial's run.

    Attributes:
        run_id: MLflow's.
        params: its parameters; empty until they were written.
        outcome: its outcome, None while it runs.
        parent: its parent run's id.
        began_ms: when it began, Unix time in milliseconds.
        epochs: those that it has.
    """

    run_id: str
    params: Mapping[str, str] = field(default_factory=dict)
    outcome: str | None = None
    parent: str | None = None
    began_ms: int = 0
    epochs: set[int] = field(default_factory=set)


class StudyOnServer:
    """One study on a tracking server.

    Args:
        uri: the server's address.
        study: the experiment's name.
        owner: the study's id and starts; without it, whatever has this name is the study.

    Attributes:
        experiment: its id and tags; None where there is none.
        parent: the parent run's id; None where there is none.
        runs: of trials, by the trial's id.
        is_read: whether `runs` says what the server has.
    """

    def __init__(self, uri: str, study: str, owner: Ownership | None) -> None:
        self.uri, self.study, self.owner = uri, study, owner
        self._opened: MlflowClient | None = None
        self._file: tuple[int, int] | None = None
        self.forget()

    def forget(self) -> None:
        """Forget what the server has. It is read again before the next event."""
        self.is_read = False
        self.experiment: Experiment | None = None
        self._delivery: str | None = None
        self.parent: str | None = None
        self.runs: dict[str, KnownRun] = {}
        self._doubled_parents: list[str] = []

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client; the first request is sent when it is needed."""
        if self._opened is None:
            bound_requests()
            from mlflow import MlflowClient

            with first_opening(self.uri):
                self._opened = MlflowClient(tracking_uri=self.uri)
                self._opened.get_experiment_by_name(self.study)  # the first request creates a store that is missing
            if (file := sqlite_file(self.uri)) is not None:
                self._file = _identity(file)
        return self._opened

    @property
    def where(self) -> str:
        """The server, for messages."""
        return f"the tracking server {without_credentials(self.uri)}"

    def no_answer(self) -> TrackingUnavailable:
        """The error for an answer without what was asked for."""
        return TrackingUnavailable(
            f"{self.where} does not answer as an MLflow server does; check that MLFLOW_TRACKING_URI names one"
        )

    def run_id(self, run: "Run") -> str:
        """The id of a run that was created.

        Raises:
            TrackingUnavailable: the answer has none.
        """
        if not run.info.run_id:
            raise self.no_answer()
        return str(run.info.run_id)

    @property
    def experiment_id(self) -> str:
        assert self.experiment is not None, "the study has not begun"
        return str(self.experiment.experiment_id)

    def find_experiment(self) -> None:
        """Find the experiment, and make sure that the study is still ours. One request, before anything is written.

        Raises:
            UserError: the name belongs to another study, another folder has resumed the study, or the experiment was
                deleted.
        """
        client = self.client
        if (file := sqlite_file(self.uri)) is not None and _identity(file) != self._file:
            raise UserError(f"{self.where}: its file was deleted or replaced while this process had it open")
        found = client.get_experiment_by_name(self.study)
        if found is None:
            if file is None:
                client.search_experiments(max_results=1)  # MLflow takes any "404 not found", a proxy's too, for None
            self.forget()
            return
        if found.name != self.study or not found.experiment_id:
            raise self.no_answer()
        if found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment {self.study} was deleted on {self.where}; restore it (mlflow experiments restore "
                f"--experiment-id {found.experiment_id}) or choose another name"
            )
        if self.owner is not None:
            refuse_another_owner(found.tags, self.owner, self.study, f"the experiment {self.study} of {self.where}")
        if self.experiment is not None and self.experiment.experiment_id != found.experiment_id:
            self.forget()  # another database is behind the same address
        if self._delivery is not None and self._delivery != found.tags.get(schema.DELIVERY):
            self.forget()  # a backup was restored between two deliveries, and no request failed
        self.experiment = found

    def make_experiment(self, tags: Mapping[str, str]) -> None:
        """Make the experiment with its owner in one step: of two studies that start at once, one gets the name.

        Raises:
            UserError: as `find_experiment`; the other one got it.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_experiment(self.study, tags=dict(tags))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        self.find_experiment()

    def leave_mark(self) -> None:
        """Mark the experiment: all events up to here were delivered. `find_experiment` notices if the mark is lost."""
        mark = secrets.token_hex(8)
        self.client.set_experiment_tag(self.experiment_id, schema.DELIVERY, mark)
        self._delivery = mark

    def find_parent(self) -> None:
        """Find the parent run.

        Raises:
            UserError: as `find_experiment`, or the parent run is another study's.
        """
        self.find_experiment()
        parents = fullest_first(self._search(f"tags.`{schema.KIND}` = 'study'"))
        if self.owner is not None:
            for run in parents:
                tags = {schema.STUDY_ID: run.data.tags.get(schema.STUDY_ID, "")}
                refuse_another_owner(tags, self.owner, self.study, self.where)
        self.parent = parents[0].info.run_id if parents else None
        self._doubled_parents = [run.info.run_id for run in parents[1:]]

    def read(self) -> None:
        """Read which trials have a run, and up to which epoch.

        A request that timed out may still have reached the server and created a run. So a trial or the study may have
        several runs: the one with the most in it stays, and the others are deleted.
        """
        self.find_parent()
        self.runs = {}
        for run_id in self._doubled_parents:
            self.client.delete_run(run_id)
        of_trials: dict[str, list[Run]] = {}
        for run in self._search(""):
            if schema.TRIAL_ID in run.data.tags:
                of_trials.setdefault(run.data.tags[schema.TRIAL_ID], []).append(run)
        for trial_id, runs in of_trials.items():
            run, *doubled = fullest_first(runs)
            for other in doubled:
                self.client.delete_run(other.info.run_id)
            self.runs[trial_id] = self._known(run)
        self.adopt()
        self.is_read = True

    def adopt(self) -> None:
        """Make the parent run the parent of every trial's run. The one before it may have been deleted."""
        for run in self.runs.values():
            if self.parent is not None and run.parent != self.parent:
                self.client.set_tag(run.run_id, schema.PARENT, self.parent)
                run.parent = self.parent

    def _known(self, run: "Run") -> KnownRun:
        tags = run.data.tags
        # The status is set after the outcome. A backup or a kill between the two leaves a run with only the outcome.
        # It has not ended, and its end is sent again.
        has_ended = run.info.status != "RUNNING"
        known = KnownRun(
            run.info.run_id,
            run.data.params,
            tags.get(schema.OUTCOME) if has_ended else None,
            tags.get(schema.PARENT),
            run.info.start_time or 0,
        )
        if known.outcome is None and schema.VAL_ERROR in run.data.metrics:
            history = metric_history(self.client, known.run_id, schema.VAL_ERROR)
            known.epochs = {metric.step for metric in history}
        elif schema.EPOCHS_TRAINED in run.data.metrics:  # a run that ended has it; this saves one request per run
            known.epochs = set(range(1, int(run.data.metrics[schema.EPOCHS_TRAINED]) + 1))
        return known

    def _search(self, filter_string: str) -> list["Run"]:
        if self.experiment is None:
            return []
        return list(
            all_of(
                lambda token: self.client.search_runs(
                    [self.experiment_id],
                    filter_string,
                    max_results=RUNS_PER_PAGE,
                    order_by=["start_time ASC"],
                    page_token=token,
                )
            )
        )
