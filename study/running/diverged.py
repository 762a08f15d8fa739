"""Trials that diverged, as Optuna's samplers and pruners see them.

Works on Optuna studies. In the journal a diverged trial of a search is complete and has the error of guessing, so that
samplers learn where trainings diverge; its outcome says that it is no result. What must tell the two apart is here.
Knows nothing of stages or of what a trial trains.
"""

import copy
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import GPSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

OUTCOME = "outcome"
"""User attribute of a trial: how it ended (`pruned` as soon as that is decided)."""


def chance_error(classes: int) -> float:
    """The error of a network that guesses: 1 − 1/classes."""
    return 1 - 1 / classes


def has_diverged(trial: FrozenTrial) -> bool:
    """Whether this trial has ended because its training diverged."""
    return trial.user_attrs.get(OUTCOME) == "diverged"


class MedianOfResults(MedianPruner):
    """Optuna's median pruner; the epochs of a diverged trial do not count, for they lead to no result."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(cast(optuna.Study, _WithoutDiverged(study)), trial)


class _WithoutDiverged:
    """A study as Optuna's median pruner reads one (looked at in optuna 5.0)."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    @property
    def direction(self) -> StudyDirection:
        return self._study.direction

    def get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(*args, **kwargs) if not has_diverged(trial)]


class GPWithinResults(GPSampler):
    """Optuna's Gaussian process; a diverged trial counts as the worst result so far.

    The error of guessing lies so far above all results that the model would see no difference between them. Uses a
    private part of Optuna's sampler (looked at in optuna 5.0).

    Args:
        error: which of the objectives is the error.
        **settings: those of Optuna's sampler.
    """

    def __init__(self, error: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._error = error

    def _sample_relative_impl(
        self,
        study: optuna.Study,
        completed_trials: list[FrozenTrial],
        running_trials: list[FrozenTrial],
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        errors = [trial.values[self._error] for trial in completed_trials if not has_diverged(trial)]
        if errors:
            worst = max(errors)
            completed_trials = [
                self._with_error(trial, worst) if has_diverged(trial) else trial for trial in completed_trials
            ]
        return super()._sample_relative_impl(study, completed_trials, running_trials, search_space)

    def _with_error(self, trial: FrozenTrial, error: float) -> FrozenTrial:
        changed = copy.copy(trial)
        changed.values = [error if place == self._error else value for place, value in enumerate(trial.values)]
        return changed
