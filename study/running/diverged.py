"""Trials that diverged, as Optuna's samplers and pruners see them.

Works on Optuna studies. In the journal a diverged trial of a search is complete and has the error of guessing, so that
samplers learn where trainings diverge; its outcome says that it is no result. What must tell the two apart is here.
Knows nothing of stages or of what a trial trains.
"""

from typing import Any, cast

import optuna
from optuna.pruners import MedianPruner
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
