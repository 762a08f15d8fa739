"""An Optuna storage that remembers what it wrote, for the one process that writes to it.

Works on Optuna's own cached storage. Optuna assumes that other processes write too, so it reads every running trial
again at every ask. With a thousand workers that takes longer than everything else. Here the trials of a study are read
once, and from then on they are what this process wrote. Knows nothing of stages.

Written for optuna 5.0, whose class `_CachedStorage` is private. It replaces what Optuna puts around an `RDBStorage`.
With another version, or where the private class has other parts, `sole_writer` returns the plain `RDBStorage`: the
same trials, read more slowly.
"""

import copy
import datetime
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from study.adapters.versions import is_version

try:
    from optuna.storages._cached_storage import _CachedStorage
except ImportError:  # another version of Optuna: `remembers_writes` says so, and nothing below is used
    _CachedStorage = BaseStorage  # type: ignore[misc, assignment]

WRITTEN_FOR = "5.0"

METHODS = ("_read_trials_from_remote_storage", "_get_cached_trial")
ATTRIBUTES = ("_backend", "_studies", "_trial_id_to_study_id_and_number", "_lock")
"""What is used of the private class."""


def remembers_writes() -> bool:
    """Whether the private parts are those this adapter was written for."""
    return (
        is_version(optuna.__version__, WRITTEN_FOR)
        and all(hasattr(_CachedStorage, name) for name in METHODS)
        and set(ATTRIBUTES) <= set(_CachedStorage.__init__.__code__.co_names)
    )


def sole_writer(database: RDBStorage) -> BaseStorage:
    """A storage over a database, for the only process that writes to the studies that are read through it."""
    return SoleWriter(database) if remembers_writes() else database


class SoleWriter(_CachedStorage):
    """Writes through to a database, and reads from memory.

    Args:
        database: nobody else writes to the studies that are read through this.
    """

    def __init__(self, database: RDBStorage) -> None:
        super().__init__(database)
        self._read: set[int] = set()  # studies

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._extend(trial_id, "params", {param_name: distribution.to_external_repr(param_value_internal)})
        self._extend(trial_id, "distributions", {param_name: distribution})

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._extend(trial_id, "intermediate_values", {step: intermediate_value})

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self._extend(trial_id, "user_attrs", {key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self._extend(trial_id, "system_attrs", {key: value})

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        if changed and (trial := self._copied(trial_id)) is not None:
            trial.state = state
            if values is not None:
                trial.values = list(values)
            if state == TrialState.RUNNING:
                trial.datetime_start = datetime.datetime.now()
            elif state.is_finished():
                trial.datetime_complete = datetime.datetime.now()
        return changed

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        self._read_trials_from_remote_storage(study_id)
        with self._lock:
            known = self._studies[study_id].trials
            trials = [known[number] for number in sorted(known)]
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def _get_cached_trial(self, trial_id: int) -> FrozenTrial | None:
        if trial_id not in self._trial_id_to_study_id_and_number:
            return None
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        return self._studies[study_id].trials[number]

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if study_id not in self._read:
            super()._read_trials_from_remote_storage(study_id)
            self._read.add(study_id)

    def _extend(self, trial_id: int, attribute: str, entries: Mapping[Any, Any]) -> None:
        if (trial := self._copied(trial_id)) is not None:
            setattr(trial, attribute, {**getattr(trial, attribute), **entries})

    def _copied(self, trial_id: int) -> FrozenTrial | None:
        """A copy of the trial for changes; callers that got it before keep the old one. None if it was not read."""
        with self._lock:
            if (known := self._get_cached_trial(trial_id)) is None:
                return None
            trial = copy.copy(known)
            study_id, number = self._trial_id_to_study_id_and_number[trial_id]
            self._studies[study_id].trials[number] = trial
            return trial
