"""Where a stage's trials come from: a plan, or a search.

Works on one stage's Optuna study, which holds all state: a source may be made anew at any moment, and gives every
trial once whatever process died between asking and training. Knows nothing of Ray or MLflow.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler
from optuna.trial import BaseTrial, TrialState, create_trial

from search_spaces.grid import grid_points
from study.adapters.optuna_tpe import EndedTrials, tpe
from study.config import MAX_SEED, ArmConfig, Role, Sampler, Scheduler, SearchConfig, StudyConfig, TrialConfig
from study.errors import UserError
from study.planning.keys import training_key
from study.planning.plan import search_trial
from study.records import TrainingSummary
from study.running.diverged import GPWithinResults, MedianOfResults, chance_error

TRAINING_KEY = "training_key"
"""User attribute of a planned trial: the key of its training, which is how the plan finds it again."""

GRID_POINT = "point"
"""User attribute of a trial that a search takes off a grid: which point of the grid it is."""

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})

FIXED = "fixed_params"
"""System attribute by which Optuna keeps the parameters that a trial is to have."""


class Source(Protocol):
    """Where a stage's trials come from, and how they are judged."""

    @property
    def total(self) -> int:
        """How many trials the stage has when it is done."""

    @property
    def objectives(self) -> int:
        """How many values a completed trial has, each the smaller the better."""

    @property
    def error_place(self) -> int:
        """Which of these values is the validation error."""

    @property
    def pruner(self) -> BasePruner:
        """What stops its trials early."""

    def proposals(self, study: optuna.Study, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        """Ask for one more trial whenever the next is wanted, until all have been; `forgiven` numbers do not count.

        Nobody else may ask for trials of the study meanwhile.
        """

    def trial_config(self, trial: BaseTrial) -> TrialConfig:
        """What to train for a trial; the same each time it is asked for the same trial."""

    def values(self, trial: BaseTrial, summary: TrainingSummary) -> list[float] | None:
        """What a completed or diverged trial is judged by; None where nobody learns from one that diverged."""


@dataclass(frozen=True)
class Planned:
    """A list of trainings, each to be run exactly once: grids of arms, confirmations, teachers.

    Args:
        trials: the trainings. Those with equal keys are one.
        weights: SHA-256 of each weights file, by its path in the study file.
    """

    trials: Sequence[TrialConfig]
    weights: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_key(self) -> dict[str, TrialConfig]:
        found: dict[str, TrialConfig] = {}
        for trial in self.trials:
            found.setdefault(training_key(trial, self.weights), trial)
        return found

    @property
    def total(self) -> int:
        return len(self._by_key)

    @property
    def objectives(self) -> int:
        return 1

    @property
    def error_place(self) -> int:
        return 0

    @property
    def pruner(self) -> BasePruner:
        return NopPruner()

    def proposals(self, study: optuna.Study, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        """Ask for every training that has not been asked for, in the plan's order.

        Raises:
            UserError: the journal has a training that is not in the plan.
        """
        trials = study.get_trials(deepcopy=False)
        if any(trial.user_attrs.get(TRAINING_KEY) not in self._by_key for trial in trials):
            raise _not_planned(study.study_name)
        asked = {trial.user_attrs[TRAINING_KEY] for trial in trials if trial.number not in forgiven}
        for key in self._by_key:
            if key not in asked:
                yield _enter(study, {TRAINING_KEY: key})

    def trial_config(self, trial: BaseTrial) -> TrialConfig:
        key: str | None = trial.user_attrs.get(TRAINING_KEY)
        if key not in self._by_key:
            raise _not_planned(f"trial {trial.number}")
        return self._by_key[key]

    def values(self, trial: BaseTrial, summary: TrainingSummary) -> list[float] | None:
        return None if summary.outcome == "diverged" else [_best_val_error(summary)]


@dataclass(frozen=True)
class Searched:
    """Trials that a sampler proposes, up to a number.

    Args:
        config: the study.
        arm: what a trial proposes: an arm, or the baseline with other training settings (`study.planning.proposals`).
        multiplications: of a network, where that is an objective.
        classes: of the images; a diverged trial is judged as one that guesses among them.
        role: of its trials.
    """

    config: StudyConfig
    arm: Callable[[BaseTrial], ArmConfig]
    multiplications: Callable[[str], int]
    classes: int
    role: Role = "arm"

    @property
    def _search(self) -> SearchConfig:
        assert self.config.search is not None
        return self.config.search

    @cached_property
    def _grid(self) -> list[dict[str, Any]]:
        return grid_points(self.arm, self._search.grid_points)

    @property
    def total(self) -> int:
        return len(self._grid) if self._search.sampler == "grid" else self._search.trials

    @property
    def objectives(self) -> int:
        return len(self._search.objectives)

    @property
    def error_place(self) -> int:
        return self._search.objectives.index("val_error")

    @property
    def pruner(self) -> BasePruner:
        return make_pruner(self._search)

    def proposals(self, study: optuna.Study, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        asked = (
            _grid_points(study, forgiven, self._grid)
            if self._search.sampler == "grid"
            else self._sampled(study, forgiven)
        )
        for trial in asked:
            self.arm(trial)  # draws its parameters, and so brings them into the journal
            yield trial

    def _sampled(self, study: optuna.Study, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        begun, ended = len(study.get_trials(deepcopy=False)), EndedTrials()
        for asked in range(begun, self._search.trials + len(forgiven)):
            study.sampler = make_sampler(self._search, self.config.search_seed, asked, ended)
            yield study.ask()

    def trial_config(self, trial: BaseTrial) -> TrialConfig:
        return search_trial(self.config, self.arm(trial), self.role)

    def values(self, trial: BaseTrial, summary: TrainingSummary) -> list[float] | None:
        diverged = summary.outcome == "diverged"
        error = chance_error(self.classes) if diverged else _best_val_error(summary)
        if self.objectives == 1:
            return [error]
        of = {"val_error": error, "multiplications": self.multiplications(self.trial_config(trial).network)}
        return [of[objective] for objective in self._search.objectives]


def make_sampler(search: SearchConfig, seed: int, asked: int, ended: EndedTrials) -> BaseSampler:
    """A sampler for one ask, made anew each time: one that is seeded once would repeat its draws after a resume.

    Args:
        search: which sampler.
        seed: of the search.
        asked: how many trials were asked for before.
        ended: what is known of those that ended; the same at every ask.
    """
    startup, fresh = search.startup_trials, (seed * 1_000_003 + asked) % MAX_SEED
    makers: Mapping[Sampler, Callable[[], BaseSampler]] = {
        "random": lambda: RandomSampler(seed=fresh),
        # Its sequence goes on by a count in the journal, and is one sequence only under one seed.
        "qmc": lambda: QMCSampler(
            seed=seed,
            scramble=True,
            independent_sampler=RandomSampler(seed=fresh),
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        ),
        # In groups: parameters that depend on a choice, and those of two objectives, are modelled together too.
        "tpe": lambda: tpe(fresh, startup, ended),
        "gp": lambda: GPWithinResults(
            search.objectives.index("val_error"), seed=fresh, n_startup_trials=startup, warn_independent_sampling=False
        ),
        "cmaes": lambda: CmaEsSampler(seed=fresh, n_startup_trials=startup, warn_independent_sampling=False),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # their interfaces may change, and are used here only
        return makers[search.sampler]()


def make_pruner(search: SearchConfig) -> BasePruner:
    """What stops trials early. All that it goes by lies in the journal, so a resume finds its rungs."""
    makers: Mapping[Scheduler, Callable[[], BasePruner]] = {
        "fifo": NopPruner,
        "asha": lambda: SuccessiveHalvingPruner(
            min_resource=search.grace_epochs, reduction_factor=search.reduction_factor
        ),
        "median": lambda: MedianOfResults(n_startup_trials=search.startup_trials, n_warmup_steps=search.grace_epochs),
    }
    return makers[search.scheduler]()


def _grid_points(
    study: optuna.Study, forgiven: Set[int], points: Sequence[Mapping[str, Any]]
) -> Iterator[optuna.Trial]:
    """Ask for every point of a grid that has not been asked for, in order.

    Optuna's own grid sampler loses and doubles points across a kill, and a queue makes every ask slow.
    """
    trials = study.get_trials(deepcopy=False)
    asked = {trial.user_attrs[GRID_POINT] for trial in trials if trial.number not in forgiven}
    for place, point in enumerate(points):
        if place not in asked:
            yield _enter(study, {GRID_POINT: place}, point)


def _enter(study: optuna.Study, attributes: Mapping[str, Any], params: Mapping[str, Any] = NO_PARAMS) -> optuna.Trial:
    """Bring a trial into the journal in one write: running, with its attributes and the parameters it is to have."""
    wanted = create_trial(state=TrialState.RUNNING, user_attrs=dict(attributes), system_attrs={FIXED: dict(params)})
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id, wanted))


def _not_planned(what: str) -> UserError:
    return UserError(
        f"the journal has a training that the study file does not plan ({what}): the journal belongs to another study "
        "file, or to another version of this package; start the study again under another name with --name"
    )


def _best_val_error(summary: TrainingSummary) -> float:
    assert summary.best_val_error is not None
    return summary.best_val_error
