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
from optuna.trial import TrialState, create_trial

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})

FIXED = "fixed_params"
"""System attribute in which Optuna keeps the fixed parameters of a queued trial."""


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

    def enter(self, attributes: Mapping[str, Any], params: Mapping[str, Any] = NO_PARAMS) -> optuna.Trial:
        """Write a new trial to the journal in one step: running, with its attributes and parameters.

        Args:
            attributes: its user attributes.
            params: fixed parameters: the values that the trial gets when they are suggested.
        """
        new = create_trial(state=TrialState.RUNNING, user_attrs=dict(attributes), system_attrs={FIXED: dict(params)})
        return optuna.Trial(self.study, self.storage.create_new_trial(self._study_id, new))
