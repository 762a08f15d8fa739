"""Trials that diverged, as Optuna's samplers and pruners see them.

Works on Optuna studies. In the journal, a diverged trial of a search is COMPLETE with the error of guessing, so
samplers learn where trainings diverge. Its user attribute `outcome` says `diverged`. The functions here distinguish
such trials from those that completed. Knows nothing of stages or of what a trial trains.
"""

from typing import Any, cast

import optuna
from optuna.pruners import MedianPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

OUTCOME = "outcome"
"""User attribute of a trial: how it ended. `pruned` is written as soon as the pruner decides it."""


def chance_error(classes: int) -> float:
    """The error of a network that guesses: 1 − 1/classes."""
    return 1 - 1 / classes


def has_diverged(trial: FrozenTrial) -> bool:
    """Whether this trial ended because its training diverged."""
    return trial.user_attrs.get(OUTCOME) == "diverged"


class MedianOfResults(MedianPruner):
    """Optuna's median pruner without the epochs of diverged trials, which have no result to compare with."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(cast(optuna.Study, _WithoutDiverged(study)), trial)


class _WithoutDiverged:
    """The parts of a study that Optuna's median pruner reads (checked in optuna 5.0)."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    @property
    def direction(self) -> StudyDirection:
        return self._study.direction

    def get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(*args, **kwargs) if not has_diverged(trial)]
