"""What the storage of a sole writer remembers is what the database has."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.adapters.optuna_storage import SoleWriter


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        new_database: Callable[[], str] = request.getfixturevalue("postgresql")
        return new_database()
    return f"sqlite:///{tmp_path / 'journal.db'}"


def without_times(trials: list[FrozenTrial]) -> list[dict[str, object]]:
    """Everything of each trial but the microseconds of its beginning and end, and Optuna's own cache."""
    return [
        {
            **{name: getattr(trial, name) for name in ("number", "state", "values", "params", "distributions")},
            **{name: getattr(trial, name) for name in ("user_attrs", "system_attrs", "intermediate_values")},
            "times": (trial.datetime_start is not None, trial.datetime_complete is not None),
        }
        for trial in trials
    ]


def work(study: optuna.Study) -> None:
    """Trials in every state, by every way of writing."""
    study.enqueue_trial({"x": 0.25}, user_attrs={"point": 1})
    for error in (0.5, 0.25, 0.75):
        trial = study.ask()
        trial.suggest_float("x", 0.0, 1.0)
        trial.suggest_categorical("kind", ["a", None, 3])
        trial.set_user_attr("outcome", {"a": [1, None]})
        study._storage.set_trial_system_attr(trial._trial_id, "more", "text")
        for step in (1, 2):
            trial.report(error / step, step)
        study.tell(trial, error)
    study.tell(study.ask(), state=TrialState.FAIL)
    pruned = study.ask()
    pruned.report(0.5, 1)
    study.tell(pruned, state=TrialState.PRUNED)
    running = create_trial(state=TrialState.RUNNING, user_attrs={"point": 5}, system_attrs={"fixed_params": {"x": 0.5}})
    study._storage.create_new_trial(study._study_id, running)
    study.ask().suggest_float("x", 0.0, 1.0)
    study.enqueue_trial({"x": 0.75})


def test_after_every_way_of_writing_it_has_what_the_database_has(address: str) -> None:
    study = optuna.create_study(storage=SoleWriter(RDBStorage(address)), study_name="it")
    work(study)
    again = optuna.load_study(study_name="it", storage=RDBStorage(address))
    assert without_times(study.trials) == without_times(again.trials)
    assert {trial.state for trial in study.trials} == set(TrialState)
    assert isinstance(study.trials[0].distributions["x"], FloatDistribution)
    assert isinstance(study.trials[0].distributions["kind"], CategoricalDistribution)


def test_it_goes_on_with_trials_that_another_process_left(address: str) -> None:
    work(optuna.create_study(storage=SoleWriter(RDBStorage(address)), study_name="it"))
    study = optuna.load_study(study_name="it", storage=SoleWriter(RDBStorage(address)))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, 0.5)
    again = optuna.load_study(study_name="it", storage=RDBStorage(address))
    assert without_times(study.trials) == without_times(again.trials)
    assert not again.get_trials(states=(TrialState.RUNNING,))


def test_what_somebody_was_given_stays_as_it_was(tmp_path: Path) -> None:
    study = optuna.create_study(storage=SoleWriter(RDBStorage(f"sqlite:///{tmp_path / 'journal.db'}")))
    trial = study.ask()
    (before,) = study.get_trials(deepcopy=False)
    study._storage.set_trial_intermediate_value(trial._trial_id, 1, 0.5)
    study.tell(trial, 0.5)
    assert (before.state, before.intermediate_values, before.values) == (TrialState.RUNNING, {}, None)


def test_a_write_that_is_refused_is_not_remembered(tmp_path: Path) -> None:
    study = optuna.create_study(storage=SoleWriter(RDBStorage(f"sqlite:///{tmp_path / 'journal.db'}")))
    trial = study.ask()
    study.tell(trial, 0.5)
    with pytest.raises(UpdateFinishedTrialError):
        study._storage.set_trial_user_attr(trial._trial_id, "outcome", "pruned")
    assert study.trials[0].user_attrs == {}


def test_running_trials_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = RDBStorage(f"sqlite:///{tmp_path / 'journal.db'}")
    study = optuna.create_study(storage=SoleWriter(database))
    study.ask()
    monkeypatch.setattr(database, "_get_trials", None)
    monkeypatch.setattr(database, "get_trial", None)
    for _ in range(3):
        trial = study.ask()
        trial.suggest_float("x", 0.0, 1.0)
        study.tell(trial, 0.5)
    assert len(study.trials) == 4
