"""Optuna's Gaussian process, with another error for the trials that diverged.

Works on Optuna's `GPSampler` and a function that says which trials diverged. In the journal such a trial has the error
of guessing. That is so far above all results that the model would see no difference between them. Here it counts as
the worst result so far. Knows nothing of stages or of what a trial trains.

Written for optuna 5.0. It replaces the private method `GPSampler._sample_relative_impl`. With another version or
another signature, Optuna's own sampler is used. Its proposals are valid, and they are the same until a trial diverges.
After that the model is coarser, because there is no public way to change the values that it reads.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial

from study.adapters.versions import is_version

WRITTEN_FOR = "5.0"

METHOD = "_sample_relative_impl"
ARGUMENTS = ["self", "study", "completed_trials", "running_trials", "search_space"]
"""The private method that is replaced."""


def judges_within_results() -> bool:
    """Whether the private part is the one this adapter was written for."""
    method = getattr(GPSampler, METHOD, None)
    return (
        is_version(optuna.__version__, WRITTEN_FOR)
        and callable(method)
        and list(inspect.signature(method).parameters) == ARGUMENTS
    )


def gp(error: int, has_diverged: Callable[[FrozenTrial], bool], **settings: Any) -> GPSampler:
    """Optuna's Gaussian process; where possible, a diverged trial counts as the worst result so far.

    Args:
        error: which of the objectives is the error.
        has_diverged: whether a trial ended because its training diverged.
        **settings: those of Optuna's sampler.
    """
    return _WithinResults(error, has_diverged, **settings) if judges_within_results() else GPSampler(**settings)


class _WithinResults(GPSampler):
    def __init__(self, error: int, has_diverged: Callable[[FrozenTrial], bool], **settings: Any) -> None:
        super().__init__(**settings)
        self._error, self._has_diverged = error, has_diverged

    def _sample_relative_impl(
        self,
        study: optuna.Study,
        completed_trials: list[FrozenTrial],
        running_trials: list[FrozenTrial],
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        errors = [trial.values[self._error] for trial in completed_trials if not self._has_diverged(trial)]
        if errors:
            worst = max(errors)
            completed_trials = [
                self._with_error(trial, worst) if self._has_diverged(trial) else trial for trial in completed_trials
            ]
        return super()._sample_relative_impl(study, completed_trials, running_trials, search_space)

    def _with_error(self, trial: FrozenTrial, error: float) -> FrozenTrial:
        changed = copy.copy(trial)
        changed.values = [error if place == self._error else value for place, value in enumerate(trial.values)]
        return changed
