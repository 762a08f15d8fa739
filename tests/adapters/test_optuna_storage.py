"""What the storage of a sole writer remembers is what the database has."""

import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event

from study.adapters.optuna_storage import SoleWriter, together


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
            **{name: getattr(trial, name) for name in ("user_attrs", "system_attrs")},
            "intermediate_values": {step: str(value) for step, value in trial.intermediate_values.items()},
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
    trial = study.ask()
    trial.set_user_attr("outcome", "before")
    with together(study._storage, trial._trial_id):
        trial.report(float("nan"), 1)
        trial.report(float("inf"), 2)
        trial.set_user_attr("outcome", "after")
        trial.set_user_attr("run", "{}")
        study._storage.set_trial_system_attr(trial._trial_id, "more", [1.5])
        study.tell(trial, float("inf"))
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


def test_it_writes_what_optuna_itself_writes(tmp_path: Path) -> None:
    storages: list[BaseStorage] = [
        SoleWriter(RDBStorage(f"sqlite:///{tmp_path / '1.db'}")),
        RDBStorage(f"sqlite:///{tmp_path / '2.db'}"),
    ]
    for storage in storages:
        work(optuna.create_study(storage=storage, study_name="it", sampler=optuna.samplers.RandomSampler(seed=0)))
    ours, optunas = (
        without_times(optuna.load_study(study_name="it", storage=RDBStorage(f"sqlite:///{tmp_path / name}")).trials)
        for name in ("1.db", "2.db")
    )
    assert ours == optunas


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone that is not that of the database, which has UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_times_in_the_database_are_those_of_the_trial(address: str) -> None:
    study = optuna.create_study(storage=SoleWriter(RDBStorage(address)), study_name="it")
    template = create_trial(state=TrialState.RUNNING)
    trial = optuna.Trial(study, study._storage.create_new_trial(study._study_id, template))
    study.tell(trial, 0.5)
    (stored,) = optuna.load_study(study_name="it", storage=RDBStorage(address)).trials
    assert stored.datetime_start == template.datetime_start
    assert stored.duration is not None
    assert datetime.timedelta(0) <= stored.duration < datetime.timedelta(hours=1)


def test_what_is_written_together_is_one_transaction(tmp_path: Path) -> None:
    database = RDBStorage(f"sqlite:///{tmp_path / 'journal.db'}")
    study = optuna.create_study(storage=SoleWriter(database))
    trial = study.ask()
    commits: list[object] = []
    event.listen(database.engine, "commit", commits.append)
    with together(study._storage, trial._trial_id):
        trial.report(0.5, 1)
        trial.set_user_attr("outcome", "completed")
        study.tell(trial, 0.5)
        assert not commits
    assert len(commits) == 1
    assert (study.trials[0].state, study.trials[0].user_attrs) == (TrialState.COMPLETE, {"outcome": "completed"})


@pytest.mark.parametrize("fails", ["block", "database"])
def test_of_a_failed_transaction_nothing_is_left(address: str, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = RDBStorage(address)
    study = optuna.create_study(storage=SoleWriter(database), study_name="it")
    trial = study.ask()

    def fail(*_: object) -> None:
        raise OSError("no space")

    def end() -> None:
        with together(study._storage, trial._trial_id):
            trial.report(0.5, 1)
            study.tell(trial, 0.5)
            if fails == "block":
                fail()

    if fails == "database":
        monkeypatch.setattr(database, "check_trial_is_updatable", fail)
    with pytest.raises(OSError, match="no space"):
        end()
    monkeypatch.undo()
    again = optuna.load_study(study_name="it", storage=RDBStorage(address))
    for trials in (study.trials, again.trials):
        assert (trials[0].state, trials[0].intermediate_values) == (TrialState.RUNNING, {})
    study.tell(trial, 0.25)
    assert without_times(study.trials) == without_times(again.trials)


def test_a_trial_that_another_process_ended_is_refused(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'journal.db'}"
    study = optuna.create_study(storage=SoleWriter(RDBStorage(address)), study_name="it")
    trial = study.ask()
    optuna.load_study(study_name="it", storage=RDBStorage(address)).tell(trial.number, 0.25)
    with pytest.raises(UpdateFinishedTrialError), together(study._storage, trial._trial_id):
        study.tell(trial, 0.5)
    assert optuna.load_study(study_name="it", storage=RDBStorage(address)).trials[0].value == 0.25


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
