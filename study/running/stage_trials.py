"""The trials of one stage in the journal: how a new one is written, and which id the storage gives it.

Works on an Optuna study and its storage, by their public methods. Knows nothing of what a trial trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.running.diverged import OUTCOME

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})

REASON = "reason"
"""User attribute of a trial: why it failed, diverged or was rejected."""

REJECTED = "rejected"
"""Outcome of a trial whose point the search space rejected. It was never run, and the tracking server has no run."""

FIXED = "fixed_params"
"""System attribute in which Optuna keeps the fixed parameters of a queued trial."""


def is_rejected(trial: FrozenTrial) -> bool:
    """Whether the search space rejected the point of this trial."""
    return trial.user_attrs.get(OUTCOME) == REJECTED


@dataclass(frozen=True)
class StageTrials:
    """The trials of one stage.

    Args:
        study: the stage's Optuna study.
        storage: the storage that holds this study.
    """

    study: optuna.Study
    storage: BaseStorage

    @cached_property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.study.study_name)

    def storage_id(self, number: int) -> int:
        """The storage's id of a trial, by its number in the study."""
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def opened(self, number: int) -> optuna.Trial:
        """A trial by its number, for suggesting parameters."""
        return optuna.Trial(self.study, self.storage_id(number))

    def close(self, trial: optuna.Trial, outcome: str, reason: str) -> None:
        """End a trial before it runs.

        Args:
            trial: RUNNING in the journal.
            outcome: `failed`, or `REJECTED`. Optuna has the states FAIL and PRUNED for them, so samplers that learn
                from pruned trials avoid what the space rejects.
            reason: one line.
        """
        trial.set_user_attr(OUTCOME, outcome)
        trial.set_user_attr(REASON, reason)
        self.study.tell(trial.number, state=TrialState.PRUNED if outcome == REJECTED else TrialState.FAIL)

    def enter(self, attributes: Mapping[str, Any], params: Mapping[str, Any] = NO_PARAMS) -> optuna.Trial:
        """Write a new trial to the journal in one step: running, with its attributes and parameters.

        Args:
            attributes: its user attributes.
            params: fixed parameters: the values that the trial gets when they are suggested.
        """
        new = create_trial(state=TrialState.RUNNING, user_attrs=dict(attributes), system_attrs={FIXED: dict(params)})
        return optuna.Trial(self.study, self.storage.create_new_trial(self._study_id, new))
