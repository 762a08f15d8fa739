"""An Optuna storage that remembers what it wrote, for the one process that writes to it.

Works on Optuna's own cached storage. Optuna assumes that other processes write too, so it reads every running trial
again at every ask. With a thousand workers that takes longer than everything else. Here the trials of a study are read
once, and from then on they are what this process wrote. Optuna also reads a trial before each write, and writes every
attribute in a transaction of its own. Here everything that belongs to the end of a trial is one transaction
(`together`), and only the state of a trial is read in it. Rows are written to their tables without SQLAlchemy's
objects, which take most of the time of such a small transaction. Knows nothing of stages.

Written for optuna 5.0, whose class `_CachedStorage` and whose models of tables are private. It replaces what Optuna
puts around an `RDBStorage`. With another version, or where the private parts are others, `sole_writer` returns the
plain `RDBStorage`: the same trials, read and written more slowly.
"""

import copy
import datetime
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, insert, select, update

from study.adapters.versions import is_version

try:
    from optuna.storages._cached_storage import _CachedStorage
    from optuna.storages._rdb import models
    from optuna.storages._rdb.storage import _create_scoped_session
except ImportError:  # another version of Optuna: `remembers_writes` says so, and nothing below is used
    _CachedStorage = BaseStorage  # type: ignore[misc, assignment]
    models = _create_scoped_session = None  # type: ignore[assignment]

WRITTEN_FOR = "5.0"

METHODS = ("_read_trials_from_remote_storage", "_get_cached_trial", "_add_trials_to_cache")
ATTRIBUTES = ("_backend", "_studies", "_trial_id_to_study_id_and_number", "_lock")
"""What is used of the private class."""

MODELS = {
    "TrialModel": {
        *("trial_id", "study_id", "number", "state", "datetime_start", "datetime_complete"),
        *("_datetime_start_utc", "_datetime_complete_utc"),
    },
    "TrialUserAttributeModel": {"trial_id", "key", "value_json"},
    "TrialSystemAttributeModel": {"trial_id", "key", "value_json"},
    "TrialIntermediateValueModel": {"trial_id", "step", "intermediate_value", "intermediate_value_type"},
    "TrialValueModel": {"trial_id", "objective", "value", "value_type"},
}
"""What is used of the private models of tables."""


def remembers_writes() -> bool:
    """Whether the private parts are those this adapter was written for."""
    return (
        is_version(optuna.__version__, WRITTEN_FOR)
        and all(hasattr(_CachedStorage, name) for name in METHODS)
        and set(ATTRIBUTES) <= set(_CachedStorage.__init__.__code__.co_names)
        and callable(_create_scoped_session)
        and all(columns | {"__table__"} <= set(dir(getattr(models, name, None))) for name, columns in MODELS.items())
    )


def sole_writer(database: RDBStorage) -> BaseStorage:
    """A storage over a database, for the only process that writes to the studies that are read through it."""
    return SoleWriter(database) if remembers_writes() else database


def together(storage: BaseStorage, trial_id: int) -> AbstractContextManager[None]:
    """Write in one transaction what the block writes of a running trial, where the storage can do that.

    If the block fails, or the transaction, nothing of it is written. The values of parameters are not part of it.

    Args:
        storage: as `sole_writer` made it.
        trial_id: the storage's id of the trial.
    """
    return storage.together(trial_id) if isinstance(storage, SoleWriter) else nullcontext()


@dataclass
class _Writes:
    """What one transaction writes of a trial.

    Attributes:
        before: the trial as the database has it.
        user_attrs, system_attrs, intermediate_values: new or changed entries.
        end: its final state and its values.
    """

    before: FrozenTrial
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)
    end: tuple[TrialState, Sequence[float] | None] | None = None


class SoleWriter(_CachedStorage):
    """Writes through to a database, and reads from memory.

    Args:
        database: nobody else writes to the studies that are read through this.
    """

    def __init__(self, database: RDBStorage) -> None:
        super().__init__(database)
        self._read: set[int] = set()  # studies
        self._gathered: _Writes | None = None

    @contextmanager
    def together(self, trial_id: int) -> Iterator[None]:
        """As the function of this name."""
        if (before := self._running(trial_id)) is None or self._gathered is not None:
            yield  # every write is a transaction of its own
            return
        before = _with_own_entries(before)
        self._gathered = writes = _Writes(before)
        try:
            yield
            self._write(writes)
        except BaseException:
            self._remember(before)
            raise
        finally:
            self._gathered = None

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if template_trial is None or template_trial.params or template_trial.intermediate_values:
            return super().create_new_trial(study_id, template_trial)
        if template_trial.state != TrialState.RUNNING or template_trial.values is not None:
            return super().create_new_trial(study_id, template_trial)
        self._read_trials_from_remote_storage(study_id)
        number = len(self._studies[study_id].trials)
        try:
            with _create_scoped_session(self._backend.scoped_session) as session:
                connection = session.connection()
                new = copy.deepcopy(template_trial)
                new.number, new._trial_id = number, _put_trial(connection, study_id, number, new.datetime_start)
                _put_attributes(connection, models.TrialUserAttributeModel, new, {}, new.user_attrs)
                _put_attributes(connection, models.TrialSystemAttributeModel, new, {}, new.system_attrs)
        except StorageInternalError:
            return super().create_new_trial(study_id, template_trial)  # tries again several times
        with self._lock:
            self._add_trials_to_cache(study_id, [new])
        return int(new._trial_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._extend(trial_id, "params", {param_name: distribution.to_external_repr(param_value_internal)})
        self._extend(trial_id, "distributions", {param_name: distribution})

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        if not self._wrote(trial_id, intermediate_values={step: intermediate_value}):
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._extend(trial_id, "intermediate_values", {step: intermediate_value})

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self._wrote(trial_id, user_attrs={key: value}):
            super().set_trial_user_attr(trial_id, key, value)
        self._extend(trial_id, "user_attrs", {key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self._wrote(trial_id, system_attrs={key: value}):
            super().set_trial_system_attr(trial_id, key, value)
        self._extend(trial_id, "system_attrs", {key: value})

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        changed = (state.is_finished() and self._wrote(trial_id, end=(state, values))) or (
            super().set_trial_state_values(trial_id, state, values)
        )
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

    # --------------------------------------------------------------------------------------------------- transactions

    def _running(self, trial_id: int) -> FrozenTrial | None:
        """The trial as this process knows it; None if it was not read, is not running, or has values already."""
        with self._lock:
            known = self._get_cached_trial(trial_id)
        return known if known is not None and known.state == TrialState.RUNNING and known.values is None else None

    def _wrote(self, trial_id: int, **what: Any) -> bool:
        """Write entries of a running trial, or gather them; False: Optuna writes them in its own way."""
        if (known := self._running(trial_id)) is None:
            return False
        gathered = self._gathered
        if gathered is None or gathered.before._trial_id != trial_id:
            self._write(_Writes(known, **what))
            return True
        for name, entries in what.items():
            if name == "end":
                gathered.end = entries
            else:
                getattr(gathered, name).update(entries)
        return True

    def _write(self, writes: _Writes) -> None:
        """Write all of it, or nothing."""
        before = writes.before
        with _create_scoped_session(self._backend.scoped_session) as session:
            connection = session.connection()
            self._backend.check_trial_is_updatable(before._trial_id, _state(connection, before._trial_id))
            _put_epochs(connection, before, writes.intermediate_values)
            user, system = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
            _put_attributes(connection, user, before, before.user_attrs, writes.user_attrs)
            _put_attributes(connection, system, before, before.system_attrs, writes.system_attrs)
            if writes.end is not None:
                state, values = writes.end
                _put_end(connection, before._trial_id, state)
                _put_values(connection, before, values or ())

    def _remember(self, trial: FrozenTrial) -> None:
        """Take back what was gathered: the trial is as it was before."""
        with self._lock:
            study_id, number = self._trial_id_to_study_id_and_number[trial._trial_id]
            self._studies[study_id].trials[number] = trial

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


def _with_own_entries(trial: FrozenTrial) -> FrozenTrial:
    """A copy that stays as it is: an Optuna `Trial` adds entries to what it was given."""
    own = copy.copy(trial)
    for name in ("user_attrs", "system_attrs", "intermediate_values"):
        setattr(own, name, dict(getattr(trial, name)))
    return own


def _put_trial(connection: Connection, study_id: int, number: int, began: datetime.datetime | None) -> int:
    """Insert a trial that runs; its id."""
    stored = models.TrialModel(datetime_start=began)._datetime_start_utc
    row = {"study_id": study_id, "number": number, "state": TrialState.RUNNING, "datetime_start": stored}
    inserted = connection.execute(insert(_table(models.TrialModel)).values(row)).inserted_primary_key
    assert inserted is not None
    return int(inserted[0])


def _put_end(connection: Connection, trial_id: int, state: TrialState) -> None:
    """Write the state of a trial that ends now."""
    stored = models.TrialModel(datetime_complete=datetime.datetime.now())._datetime_complete_utc
    trials = _table(models.TrialModel)
    ended = {"state": state, "datetime_complete": stored}
    connection.execute(update(trials).where(trials.c.trial_id == trial_id).values(ended))


def _state(connection: Connection, trial_id: int) -> TrialState:
    """The state of a trial in the database.

    Raises:
        KeyError: there is no such trial.
    """
    trials = _table(models.TrialModel)
    found = connection.execute(select(trials.c.state).where(trials.c.trial_id == trial_id)).scalar_one_or_none()
    if found is None:
        raise KeyError(f"no trial has the id {trial_id}")
    return TrialState(found)


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


def _put_attributes(
    connection: Connection, model: Any, trial: FrozenTrial, before: Mapping[str, Any], entries: Mapping[str, Any]
) -> None:
    """Write attributes to the table of `model`: a new row for each key that was not there `before`."""
    rows = {key: {"value_json": json.dumps(value)} for key, value in entries.items()}
    _put(connection, model, "key", trial, before, rows)


def _put_epochs(connection: Connection, trial: FrozenTrial, entries: Mapping[int, float]) -> None:
    model = models.TrialIntermediateValueModel
    stored = {step: model.intermediate_value_to_stored_repr(value) for step, value in entries.items()}
    rows = {
        step: {"intermediate_value": value, "intermediate_value_type": kind} for step, (value, kind) in stored.items()
    }
    _put(connection, model, "step", trial, trial.intermediate_values, rows)


def _put_values(connection: Connection, trial: FrozenTrial, values: Sequence[float]) -> None:
    model = models.TrialValueModel
    stored = [model.value_to_stored_repr(value) for value in values]
    rows = {place: {"value": value, "value_type": kind} for place, (value, kind) in enumerate(stored)}
    _put(connection, model, "objective", trial, {}, rows)


def _put(
    connection: Connection,
    model: Any,
    by: str,
    trial: FrozenTrial,
    before: Mapping[Any, Any],
    rows: Mapping[Any, Mapping[str, Any]],
) -> None:
    """Insert or update rows of a trial, which are told apart by the column `by`."""
    table = _table(model)
    new = [{"trial_id": trial._trial_id, by: name, **row} for name, row in rows.items() if name not in before]
    if new:
        connection.execute(insert(table), new)
    for name in rows.keys() & before.keys():
        where = (table.c.trial_id == trial._trial_id, table.c[by] == name)
        connection.execute(update(table).where(*where).values(**rows[name]))
