"""The journal: an Optuna storage that knows every trial of a study, and the only thing a resume goes by.

Works on stages. A stage is an Optuna study; a trial that was asked for and not told is still to be done, whatever
happened to the process that asked. Knows nothing of Ray or MLflow. One process at a time may write to a study's
journal (the study's lock sees to that).
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces.spaces import Space
from study.config import MAX_SEED, Outcome, Sampler, SearchConfig, Stage, StudyConfig, TrialConfig
from study.records import TrialReport
from study.search.plan import search_trial

POINT = "point"
"""The parameter of a planned trial: which of the plan's trainings it is."""

OUTCOME, REASON = "outcome", "reason"
"""User attributes of a trial that was told."""


class Source(Protocol):
    """Where a stage's trials come from."""

    @property
    def total(self) -> int:
        """How many trials the stage has when it is done."""

    def next(self, study: optuna.Study, forgiven: Set[int]) -> optuna.Trial | None:
        """Ask for one more trial, or None when all have been asked for; `forgiven` numbers do not count."""

    def trial_config(self, trial: optuna.Trial) -> TrialConfig:
        """What to train for a trial; the same each time it is asked for the same trial."""


@dataclass(frozen=True)
class Planned:
    """A list of trainings, each to be run exactly once: grids, confirmations, teachers.

    Each missing point is enqueued just before it is asked for: Optuna's own grid sampler loses and doubles points
    across a kill, and a long queue makes every ask slow.
    """

    trials: Sequence[TrialConfig]

    @property
    def total(self) -> int:
        return len(self.trials)

    def next(self, study: optuna.Study, forgiven: Set[int]) -> optuna.Trial | None:
        trials = study.get_trials(deepcopy=False)
        # One that is enqueued and was never asked for (a kill came between) is asked for now.
        waiting = {_point(trial) for trial in trials if trial.state == TrialState.WAITING}
        asked = {_point(t) for t in trials if t.state != TrialState.WAITING and t.number not in forgiven}
        missing = next((point for point in range(len(self.trials)) if point not in asked), None)
        if missing is None:
            return None
        if not waiting:
            study.enqueue_trial({POINT: missing})
        trial = study.ask()
        self.trial_config(trial)
        return trial

    def trial_config(self, trial: optuna.Trial) -> TrialConfig:
        return self.trials[trial.suggest_int(POINT, 0, len(self.trials) - 1)]


@dataclass(frozen=True)
class Searched:
    """Trials that a sampler proposes in a space, up to a number."""

    config: StudyConfig
    space: Space

    @property
    def _search(self) -> SearchConfig:
        assert self.config.search is not None
        return self.config.search

    @property
    def total(self) -> int:
        return self._search.trials

    def next(self, study: optuna.Study, forgiven: Set[int]) -> optuna.Trial | None:
        asked = len(study.get_trials(deepcopy=False))
        if asked - len(forgiven) >= self._search.trials:
            return None
        study.sampler = make_sampler(self._search, (self.config.search_seed * 1_000_003 + asked) % MAX_SEED)
        trial = study.ask()
        self.trial_config(trial)
        return trial

    def trial_config(self, trial: optuna.Trial) -> TrialConfig:
        return search_trial(self.config, self.space(trial))


class StageJournal:
    """One stage of a study in its journal.

    Args:
        storage: where.
        study: the study's name.
        stage: which stage it is.
        source: where its trials come from.
        name: what the stage is called where there are several of its kind (`teacher`, `teacher-1`); its trials' ids
            begin with it.
    """

    def __init__(
        self, storage: optuna.storages.BaseStorage, study: str, stage: Stage, source: Source, name: str | None = None
    ) -> None:
        self.stage, self.source, self.name = stage, source, name or stage
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{study}.{self.name}",
            direction="minimize",
            sampler=RandomSampler(seed=0),
            load_if_exists=True,
        )
        # What failed when the study last ran is made up for: the reason may be mended.
        self._forgiven = {t.number for t in self._trials() if t.user_attrs.get(OUTCOME) == "failed"}

    def unfinished(self) -> list[tuple[int, TrialConfig]]:
        """Trials that were asked for and never told, oldest first."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._identified(optuna.Trial(self._study, trial._trial_id)) for trial in running]

    def ask(self) -> tuple[int, TrialConfig] | None:
        """One more trial's number and configuration, or None when the stage has them all."""
        trial = self.source.next(self._study, self._forgiven)
        return None if trial is None else self._identified(trial)

    def tell(self, report: TrialReport) -> None:
        """Close a trial: a completed one with its best validation error, all others as failed."""
        summary = report.summary
        assert summary is not None
        trial = optuna.Trial(self._study, self._trials()[report.number]._trial_id)
        trial.set_user_attr(OUTCOME, summary.outcome)
        if summary.outcome == "completed":
            self._study.tell(trial, summary.best_val_error, skip_if_finished=True)
        else:
            trial.set_user_attr(REASON, summary.reason or "")
            self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def best(self, count: int) -> list[optuna.Trial]:
        """The completed trials with the lowest validation error, best first, equal ones in order of their number."""
        completed = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        ranked = sorted(completed, key=lambda trial: (trial.value, trial.number))
        return [optuna.Trial(self._study, trial._trial_id) for trial in ranked[:count]]

    def reasons(self, outcome: Outcome) -> list[str]:
        """Why trials ended with this outcome, one line each; failures before the last resume are left out."""
        return [
            f"{self.name}-{trial.number:04d}: {trial.user_attrs.get(REASON)}"
            for trial in self._trials()
            if trial.user_attrs.get(OUTCOME) == outcome and trial.number not in self._forgiven
        ]

    def finished(self) -> int:
        """How many of the stage's trainings are over."""
        return sum(trial.state.is_finished() and trial.number not in self._forgiven for trial in self._trials())

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _identified(self, trial: optuna.Trial) -> tuple[int, TrialConfig]:
        return trial.number, self.source.trial_config(trial)


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """An Optuna storage; SQLite waits for a lock rather than fail."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    connect = {"timeout": 60} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": connect})


def make_sampler(search: SearchConfig, seed: int) -> BaseSampler:
    """A sampler for one ask. Made anew each time from the search's seed and the trial's number: one that is seeded
    once would repeat its draws after a resume."""
    makers: dict[Sampler, Callable[[], BaseSampler]] = {
        "random": lambda: RandomSampler(seed=seed),
        "tpe": lambda: TPESampler(seed=seed, n_startup_trials=search.startup_trials),
        "gp": lambda: GPSampler(seed=seed, n_startup_trials=search.startup_trials),
        "cmaes": lambda: CmaEsSampler(seed=seed, n_startup_trials=search.startup_trials),
    }
    return makers[search.sampler]()


def _point(trial: FrozenTrial) -> int | None:
    """The planned point of a trial, also of one that was asked for and killed before it was given its point."""
    fixed = trial.system_attrs.get("fixed_params", {})
    point = trial.params.get(POINT, fixed.get(POINT))
    return None if point is None else int(point)
