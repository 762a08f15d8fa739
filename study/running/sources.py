"""Where the trials of a stage come from: a plan, or a search.

Works on the Optuna study of one stage. That study holds all state, so a source can be made again at any time. Each
trial is proposed once, also if a process died between the proposal and the training. Knows nothing of Ray or MLflow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any, Protocol

import optuna
from optuna.exceptions import TrialPruned
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import BaseStorage
from optuna.trial import BaseTrial

from search_spaces.grid import grid_points
from study.adapters.optuna_tpe import EndedTrials
from study.config import ArmConfig, Role, SearchConfig, StudyConfig, TrialConfig
from study.errors import UserError
from study.planning.keys import training_key
from study.planning.plan import search_trial
from study.records import TrainingSummary
from study.running.diverged import chance_error
from study.running.samplers import make_pruner, make_sampler
from study.running.stage_trials import REJECTED, StageTrials, is_rejected

TRAINING_KEY = "training_key"
"""User attribute of a planned trial: the key of its training. The plan finds the trial by it."""

MAX_REJECTED = 100
"""How many points in a row a search space may reject (`raise optuna.TrialPruned`)."""

RANDOM_AFTER = 10
"""After how many rejected points in a row points are drawn at random until the space accepts one. No sampler learns
from a rejected point, so one with a model would propose nearly the same point again."""

GRID_POINT = "point"
"""User attribute of a trial of the sampler `grid`: the number of its grid point."""


class TrialSource(Protocol):
    """Where the trials of a stage come from, and what their objectives are."""

    @property
    def total(self) -> int:
        """How many trials the stage has when it is finished."""

    @property
    def objectives(self) -> int:
        """How many objectives a completed trial has; all are minimized."""

    @property
    def error_place(self) -> int:
        """Which of the objectives is the validation error."""

    @property
    def pruner(self) -> BasePruner:
        """The pruner that stops its trials early."""

    def proposals(self, stage: StageTrials, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        """The trials that the stage does not have yet. Each is written to the journal when the caller takes it.

        Nothing else may add trials to this stage meanwhile.

        Args:
            stage: the trials in the journal.
            forgiven: numbers of trials that failed in an earlier run; new trials replace them.
        """

    def trial_config(self, trial: BaseTrial) -> TrialConfig:
        """What to train for a trial; the same at every call for the same trial."""

    def values(self, trial: BaseTrial, summary: TrainingSummary) -> list[float] | None:
        """The objectives of a completed or diverged trial; None for a diverged trial of a plan, which no sampler
        reads."""


@dataclass(frozen=True)
class Planned:
    """A list of trainings, each of which runs exactly once: grids of arms, confirmations, teachers.

    Args:
        trials: the trainings. Those with the same key run once.
        digests: as in `study.planning.keys.training_key`.
    """

    trials: Sequence[TrialConfig]
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_key(self) -> dict[str, TrialConfig]:
        found: dict[str, TrialConfig] = {}
        for trial in self.trials:
            found.setdefault(training_key(trial, self.digests), trial)
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

    def proposals(self, stage: StageTrials, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        """Enter every training that the journal does not have, in the plan's order.

        Raises:
            UserError: the journal has a training that is not in the plan.
        """
        trials = stage.study.get_trials(deepcopy=False)
        if any(trial.user_attrs.get(TRAINING_KEY) not in self._by_key for trial in trials):
            raise _not_planned(stage.study.study_name)
        asked = {trial.user_attrs[TRAINING_KEY] for trial in trials if trial.number not in forgiven}
        for key in self._by_key:
            if key not in asked:
                yield stage.enter({TRAINING_KEY: key})

    def trial_config(self, trial: BaseTrial) -> TrialConfig:
        key: str | None = trial.user_attrs.get(TRAINING_KEY)
        if key not in self._by_key:
            raise _not_planned(f"trial {trial.number}")
        return self._by_key[key]

    def values(self, trial: BaseTrial, summary: TrainingSummary) -> list[float] | None:
        return None if summary.outcome == "diverged" else [_best_val_error(summary)]


@dataclass(frozen=True)
class Searched:
    """A fixed number of trials that a sampler proposes.

    Args:
        config: the study.
        arm: makes a trial's arm, or the baseline with other training settings (`study.planning.proposals`).
        multiplications: returns a network's multiplications; used if that is an objective.
        classes: how many classes the images have; a diverged trial gets the error of guessing among them.
        role: the role of its trials.
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

    def proposals(self, stage: StageTrials, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        """The trials that the stage does not have yet.

        Raises:
            UserError: the space raised an error, or rejected too many points. The trial of the error is closed as
                failed, so that a resume draws another one.
        """
        if self._search.sampler == "grid":
            points = _grid_points(stage, forgiven, self._grid)
            return (trial for trial in points if self._accepts(stage, trial))
        return self._sampled(stage, forgiven)

    def _sampled(self, stage: StageTrials, forgiven: Set[int]) -> Iterator[optuna.Trial]:
        trials, ended = stage.study.get_trials(deepcopy=False), EndedTrials()
        left = self._search.trials - sum(not is_rejected(each) and each.number not in forgiven for each in trials)
        asked, rejected = len(trials), 0
        # Counted in the journal, so that a resume draws the same points. MAX_REJECTED counts anew after each resume.
        in_a_row = sum(1 for _ in takewhile(is_rejected, reversed(trials)))
        while left > 0:
            stage.study.sampler = make_sampler(
                self._search, self.config.search_seed, asked, ended, at_random=in_a_row >= RANDOM_AFTER
            )
            trial, asked = stage.study.ask(), asked + 1
            if self._accepts(stage, trial):
                left, rejected, in_a_row = left - 1, 0, 0
                yield trial
                continue
            rejected, in_a_row = rejected + 1, in_a_row + 1
            if rejected == MAX_REJECTED:
                raise UserError(
                    f"search.space: {self._search.space} rejected {rejected} points one after another; let it accept "
                    "more, then resume"
                )

    def _accepts(self, stage: StageTrials, trial: optuna.Trial) -> bool:
        """Suggest a new trial's parameters, which writes them to the journal; whether the space accepts them."""
        try:
            self.arm(trial)
        except TrialPruned as error:
            stage.close(trial, REJECTED, str(error))
            return False
        except UserError as error:
            stage.close(trial, "failed", str(error))
            raise
        return True

    def trial_config(self, trial: BaseTrial) -> TrialConfig:
        return search_trial(self.config, self.arm(trial), self.role)

    def values(self, trial: BaseTrial, summary: TrainingSummary) -> list[float] | None:
        diverged = summary.outcome == "diverged"
        error = chance_error(self.classes) if diverged else _best_val_error(summary)
        if self.objectives == 1:
            return [error]
        of = {"val_error": error, "multiplications": self.multiplications(self.trial_config(trial).network)}
        return [of[objective] for objective in self._search.objectives]


def keys_of_plan(storage: BaseStorage, name: str) -> frozenset[str]:
    """The training keys of a planned stage in the journal; none where it has not begun.

    Args:
        storage: the journal.
        name: of the stage's Optuna study.
    """
    if name not in optuna.get_all_study_names(storage):
        return frozenset()
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return frozenset(str(trial.user_attrs[TRAINING_KEY]) for trial in trials if TRAINING_KEY in trial.user_attrs)


def _grid_points(stage: StageTrials, forgiven: Set[int], points: Sequence[Mapping[str, Any]]) -> Iterator[optuna.Trial]:
    """Enter every point of a grid that the journal does not have, in order.

    Optuna's own grid sampler loses and repeats points after a crash, and its queue makes every proposal slow.
    """
    trials = stage.study.get_trials(deepcopy=False)
    asked = {trial.user_attrs[GRID_POINT] for trial in trials if trial.number not in forgiven}
    for place, point in enumerate(points):
        if place not in asked:
            yield stage.enter({GRID_POINT: place}, point)


def _not_planned(what: str) -> UserError:
    return UserError(
        f"the journal has a training that the study file does not plan ({what}): the journal belongs to another study "
        "file, or to another version of this package; start the study again under another name with --name"
    )


def _best_val_error(summary: TrainingSummary) -> float:
    assert summary.best_val_error is not None
    return summary.best_val_error
