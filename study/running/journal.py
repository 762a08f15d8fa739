"""The journal: the Optuna storage that holds every trial of a study. A resume reads nothing else.

Works on stages. A stage is an Optuna study. A trial in the state RUNNING is run again by a resume. Knows nothing of Ray
or MLflow. The study's lock makes sure that one process at a time writes to the journal.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

import optuna
from optuna.exceptions import OptunaError, TrialPruned
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import BaseTrial, FrozenTrial, TrialState
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from study.adapters.optuna_storage import sole_writer, together
from study.config import Outcome, TrialConfig
from study.errors import StorageFull, StudyFailed, UserError
from study.planning.keys import training_key
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.running.claims import claim_stage, fix_seeds
from study.running.diverged import OUTCOME, has_diverged
from study.running.ended_runs import RUN
from study.running.front import pareto_front
from study.running.sources import TrialSource
from study.running.stage_trials import REASON, REJECTED, StageTrials, is_rejected
from study.stages import SEARCH, Stage
from study.storage import Ownership
from study.tracking.credentials import check_address, redacted_message, without_credentials
from study.tracking.ended import EndedRun

REPEATS = "repeats"
"""User attribute of a trial: the id of the earlier trial with the same training."""

DISK_FULL = "database or disk is full"
"""What SQLite says when no room is left."""

CHOSEN = "chosen"
"""User attribute of a stage: the numbers of the trials that were chosen to be confirmed, in the order of choice."""


@dataclass
class _Open:
    """What the journal holds of a running trial. It is kept in memory, so that not every epoch reads it again."""

    trial: BaseTrial
    trial_id: int
    epochs: set[int]
    stopped: bool
    last_before: int | None
    """The last epoch that an earlier process wrote. That process may have died before it asked the pruner about it."""
    is_over: bool
    """Whether it ended before, and is trained again only because its files are damaged. The journal does not change."""
    last: list[EpochRecord] = field(default_factory=list)
    """Its last epochs, which are written with its end."""


class StageJournal:
    """One stage of a study in its journal.

    Args:
        storage: the Optuna storage.
        study: the study's name.
        stage: which stage it is.
        source: where its trials come from.
        name: the stage's own name if a study has several of its kind (`teacher`, `teacher-1`); its trials' ids begin
            with it.
        owner: whose it is from now on.
        lost: whether files of a completed trial are damaged, by its id and a function that gives its configuration.
        seeds: of a search or a confirmation; the first start fixed them.

    Raises:
        UserError: the journal belongs to another study of this name, another folder has resumed the study, or the
            stage has other seeds.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study: str,
        stage: Stage,
        source: TrialSource,
        name: str | None = None,
        owner: Ownership | None = None,
        lost: Callable[[str, Callable[[], TrialConfig]], bool] = lambda trial_id, config: False,
        seeds: Sequence[int] = (),
    ) -> None:
        self.stage, self.source, self.name = stage, source, name or stage
        self._storage = storage
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{study}.{self.name}",
            directions=["minimize"] * source.objectives,
            # Completes a proposal that a crash cut off; `TrialSource.proposals` sets the sampler of each new one.
            sampler=RandomSampler(seed=0),
            pruner=source.pruner,
            load_if_exists=True,
        )
        if owner is not None:
            claim_stage(self._study, study, owner)
        fix_seeds(self._study, seeds)
        self._stage_trials = StageTrials(self._study, storage)
        # Trials that failed in an earlier run are replaced by new ones: the reason may be fixed by now.
        self._forgiven = {
            trial.number
            for trial in self._trials()
            if trial.state.is_finished() and trial.user_attrs.get(OUTCOME) == "failed"
        }
        self._opened: dict[int, _Open] = {}
        self._keys: dict[int, str] = {}
        self._lost = {
            trial.number
            for trial in self._trials()
            if trial.state == TrialState.COMPLETE
            and lost(self.trial_id(trial.number), partial(source.trial_config, trial))
        }

    def unfinished(self) -> list[tuple[int, TrialConfig]]:
        """Trials to run again, oldest first: those that are RUNNING, and completed ones whose files are damaged."""
        trials = [each for each in self._trials() if each.state == TrialState.RUNNING or each.number in self._lost]
        return [taken for trial in trials if (taken := self._taken_again(trial)) is not None]

    def _taken_again(self, trial: FrozenTrial) -> tuple[int, TrialConfig] | None:
        """A trial of an earlier process; None, and closed, if it never ran and the search space does not accept it."""
        opened = self._stage_trials.opened(trial.number)
        try:
            return self._taken(opened, trial)
        except (UserError, TrialPruned) as error:
            is_rejected_now = isinstance(error, TrialPruned)
            if self.stage != SEARCH or trial.intermediate_values or trial.state.is_finished():
                before = f"search.space rejects {self.trial_id(trial.number)}, which it accepted before"
                raise (UserError(before) if is_rejected_now else error) from None
            del self._opened[trial.number]
            self._stage_trials.close(opened, REJECTED if is_rejected_now else "failed", str(error))
            if not is_rejected_now:
                self._forgiven.add(trial.number)
            return None

    def is_over(self, number: int) -> bool:
        """Whether a trial ended before, and is trained again only because its files are damaged."""
        return self._open(number).is_over

    def ask(self) -> tuple[int, TrialConfig] | None:
        """The number and configuration of a new trial; None if the stage has all its trials."""
        trial = next(self._proposals, None)
        return None if trial is None else self._taken(trial)

    def report(self, number: int, epochs: Sequence[EpochRecord]) -> bool:
        """Write the epochs of a running trial and ask the pruner. Epochs that are already written change nothing.

        Returns:
            whether the trial is stopped here. The decision is written too, so a later call returns the same.
        """
        running = self._open(number)
        for record in epochs:
            if running.stopped or running.is_over:
                break
            undecided = self._kept(running, record) or record.epoch == running.last_before
            if undecided and self._is_to_be_stopped(running):
                self._storage.set_trial_user_attr(running.trial_id, OUTCOME, "pruned")
                running.stopped = True
        return running.stopped

    def keep(self, number: int, epochs: Sequence[EpochRecord]) -> None:
        """Note the last epochs of a trial that has ended; `tell` writes them with its end. The pruner is not asked."""
        self._open(number).last.extend(epochs)

    def _kept(self, running: _Open, record: EpochRecord) -> bool:
        """Write an epoch; whether it is new."""
        if record.epoch in running.epochs or running.is_over:
            return False
        self._storage.set_trial_intermediate_value(running.trial_id, record.epoch, record.val_error)
        running.epochs.add(record.epoch)
        return True

    def _is_to_be_stopped(self, running: _Open) -> bool:
        pruner = self._study.pruner
        return not isinstance(pruner, NopPruner) and pruner.prune(
            self._study, self._storage.get_trial(running.trial_id)
        )

    def repeated(self, number: int) -> TrainingSummary | None:
        """The result of a proposed trial whose training is the same as that of an earlier trial of the search.

        Returns:
            the earlier trial's result; None if there is none, or if the trial has begun to train.
        """
        if self.stage != SEARCH or self._open(number).epochs:
            return None
        earlier = self._results.get(self._key(self._open(number).trial))
        if earlier is None or earlier.number == number:
            return None
        diverged = has_diverged(earlier)
        return TrainingSummary(
            outcome="diverged" if diverged else "completed",
            epochs=0,
            best_val_error=None if diverged else earlier.values[self.source.error_place],
            train_seconds=0.0,
            reason=earlier.user_attrs.get(REASON),
            repeats=self.trial_id(earlier.number),
        )

    def trial_id(self, number: int) -> str:
        """A trial's id on the tracking server."""
        return f"{self.name}-{number:04d}"

    def tell(self, report: TrialReport, run: EndedRun | None = None) -> None:
        """Write a trial's end to the journal in one transaction: COMPLETE with its objectives, PRUNED, or FAIL.

        A pruned trial gets no value, so Optuna treats it as partly trained. A diverged trial of a search is COMPLETE
        with the error of a network that guesses. Optuna's samplers ignore failed trials, so they would propose similar
        values again.

        Args:
            report: of the trial, with its end.
            run: what the tracking server gets of it; a server that lost it gets it again from here.
        """
        summary = report.summary
        assert summary is not None
        running = self._open(report.number)
        if running.is_over:
            self._lost.discard(report.number)
            del self._opened[report.number]
            return
        judged = summary.outcome in ("completed", "diverged")
        values = self.source.values(running.trial, summary) if judged else None
        with together(self._storage, running.trial_id):
            for record in running.last:
                self._kept(running, record)
            for name, value in (
                (RUN, None if run is None else run.model_dump_json()),
                (OUTCOME, summary.outcome),
                (REASON, (summary.reason or "") if summary.outcome in ("diverged", "failed") else None),
                (REPEATS, summary.repeats),
            ):
                if value is not None:
                    self._storage.set_trial_user_attr(running.trial_id, name, value)
            if values is not None:
                self._study.tell(report.number, values)
            else:
                state = TrialState.PRUNED if summary.outcome == "pruned" else TrialState.FAIL
                self._study.tell(report.number, state=state)
        del self._opened[report.number]
        if values is not None and self.stage == SEARCH:
            self._keep_result(self._results, self._storage.get_trial(running.trial_id))

    def best(self, count: int, excluded: Callable[[TrialConfig], bool] | None = None) -> list[BaseTrial]:
        """The best completed trials, at most `count`. Each training occurs once.

        With one objective: the lowest values, best first; equal ones in order of their number. With two objectives:
        points spread evenly along the Pareto front, with both ends.

        Args:
            count: at least 1.
            excluded: returns True for a training that is not to be chosen.
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        completed = [trial for trial in complete if not has_diverged(trial)]
        in_order = sorted(completed, key=lambda trial: (*trial.values, trial.number))
        if self.source.objectives == 1:
            return [*islice(self._different(in_order, excluded), count)]
        front = pareto_front(self._different(in_order, excluded))
        if len(front) <= count:
            return [*front]
        if count == 1:
            return [front[0]]
        return [front[round(place * (len(front) - 1) / (count - 1))] for place in range(count)]

    def choose(self, count: int, excluded: Callable[[TrialConfig], bool] | None = None) -> list[BaseTrial]:
        """The trials to confirm: those that an earlier run of the study chose, then the best ones that are new.

        A choice stays. A resume runs failed trials again, and one of them may be better than a trial that was chosen.
        The trial that was chosen is still confirmed, because its confirmation may have begun.
        """
        numbers: list[int] = self._study.user_attrs.get(CHOSEN, [])
        trials = self._trials()
        before = [trials[number] for number in numbers]
        known = {self._key(trial) for trial in before}
        new = [trial for trial in self.best(count, excluded) if self._key(trial) not in known]
        if new:
            self._study.set_user_attr(CHOSEN, [*numbers, *(trial.number for trial in new)])
        return [*before, *new]

    def _different(
        self, trials: Iterable[FrozenTrial], excluded: Callable[[TrialConfig], bool] | None
    ) -> Iterator[FrozenTrial]:
        """The trials without repetitions: of several with the same training, the first."""
        seen: set[str] = set()
        for trial in trials:
            key = self._key(trial)
            if key in seen:
                continue
            seen.add(key)
            if excluded is None or not excluded(self.source.trial_config(trial)):
                yield trial

    def _key(self, trial: BaseTrial) -> str:
        if trial.number not in self._keys:
            self._keys[trial.number] = training_key(self.source.trial_config(trial))
        return self._keys[trial.number]

    @cached_property
    def _results(self) -> dict[str, FrozenTrial]:
        """The first completed or diverged trial of each training, by the training's key."""
        results: dict[str, FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            self._keep_result(results, trial)
        return results

    def _keep_result(self, results: dict[str, FrozenTrial], trial: FrozenTrial) -> None:
        if REPEATS not in trial.user_attrs:
            results.setdefault(self._key(trial), trial)

    def reasons(self, outcome: Outcome) -> list[str]:
        """Why trials ended with this outcome, one line for each. Failures before the last resume are left out."""
        return [
            f"{self.trial_id(trial.number)}: {trial.user_attrs.get(REASON)}"
            for trial in self._trials()
            if trial.user_attrs.get(OUTCOME) == outcome and trial.number not in self._forgiven
        ]

    def finished(self) -> int:
        """How many trials of the stage have ended. Failures before the last resume do not count."""
        left_out = self._forgiven | self._lost
        ended = [trial for trial in self._trials() if trial.state.is_finished() and not is_rejected(trial)]
        return sum(trial.number not in left_out for trial in ended)

    @cached_property
    def _proposals(self) -> Iterator[optuna.Trial]:
        return self.source.proposals(self._stage_trials, self._forgiven)

    def _open(self, number: int) -> _Open:
        if number not in self._opened:
            trial_id = self._stage_trials.storage_id(number)
            trial = self._storage.get_trial(trial_id)
            self._opened[number] = _opened(trial, trial_id, trial)
        return self._opened[number]

    def _taken(self, trial: optuna.Trial, known: FrozenTrial | None = None) -> tuple[int, TrialConfig]:
        """The number and configuration of a trial that starts; `known` is its state in the journal, if it has one."""
        self._opened[trial.number] = _opened(trial, self._stage_trials.storage_id(trial.number), known)
        config = self.source.trial_config(trial)
        if self.stage == SEARCH:
            self._keys[trial.number] = training_key(config)
        return trial.number, config

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def _opened(trial: BaseTrial, trial_id: int, known: FrozenTrial | None) -> _Open:
    epochs = set(known.intermediate_values) if known is not None else set()
    last_before = max(epochs, default=None)
    stopped = known is not None and known.user_attrs.get(OUTCOME) == "pruned"
    is_over = known is not None and known.state.is_finished()
    return _Open(trial, trial_id, epochs, stopped, last_before, is_over)


def open_storage(url: str, of_one_host: bool = True) -> BaseStorage:
    """Open an Optuna storage. With SQLite, it waits for a lock instead of failing.

    Args:
        url: its address.
        of_one_host: whether only this machine opens it. SQLite then uses a write-ahead log, which takes one write to
            the disk instead of four. The log needs memory that all processes share, which a network drive cannot give.
            In both modes, what was written survives a power cut.

    Raises:
        UserError: the storage does not answer, or its address cannot be used. No message contains credentials.
        StorageFull: the disk is full.
    """
    check_address("OPTUNA_STORAGE", url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options: dict[str, Any] = {"connect_args": {"connect_timeout": 10}}
    if url.startswith("sqlite"):
        mode = "WAL" if of_one_host else "DELETE"  # a file keeps its mode

        def choose(connection: Any, _: Any) -> None:
            connection.execute(f"PRAGMA journal_mode = {mode}")

        options = {"connect_args": {"timeout": 60}, "pool_events": [(choose, "connect")]}
    try:
        return sole_writer(RDBStorage(url, engine_kwargs=options))
    except (SQLAlchemyError, ImportError, ValueError, TypeError, OptunaError) as error:
        if isinstance(error, OperationalError) and DISK_FULL in str(error):
            raise StorageFull(f"the journal {without_credentials(url)}: {DISK_FULL}; free some space") from None
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):  # the file is no database
            raise UserError(
                f"the journal {without_credentials(url)} is damaged ({redacted_message(error, url)}); restore it "
                "from a backup, or delete it and resume the study, which takes its results from their files"
            ) from None
        raise UserError(
            f"OPTUNA_STORAGE {without_credentials(url)}: this database cannot be used "
            f"({redacted_message(error, url)}); use "
            "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE (which needs the extra `postgresql`)"
        ) from None


@contextmanager
def journal_errors(url: str) -> Iterator[None]:
    """While a storage is used: turn its errors into one line.

    Args:
        url: its address.

    Raises:
        StudyFailed: the storage failed. The message has the reason and no credentials.
    """
    try:
        yield
    except (OptunaError, SQLAlchemyError) as error:
        # Optuna's own message does not contain the database's reason.
        reason = redacted_message(error.__cause__ or error, url)
        raise StudyFailed(f"the journal {without_credentials(url)}: {reason}") from None


def is_taken(storage: BaseStorage, study: str) -> bool:
    """Whether a storage already holds stages of a study with this name. Several studies may share one storage."""
    return any(name.rpartition(".")[0] == study for name in optuna.get_all_study_names(storage))
