"""The journal gives every trial once, whatever died between an ask and its tell."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from search_spaces.spaces import sigma_alpha
from study.config import Outcome, Sampler, StudyConfig, TrialConfig, parse_study
from study.records import TrainingSummary, TrialReport
from study.search.journal import Planned, Searched, StageJournal, open_storage
from study.search.plan import grid_trials

FILE = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
arms: [{method: noisy_teacher, sigma: [0.1, 0.5, 1.0]}]
seeds: [0, 1]
"""


def config(sampler: Sampler = "random", trials: int = 6) -> StudyConfig:
    search = f"search: {{sampler: {sampler}, trials: {trials}, startup_trials: 3}}"
    return parse_study(FILE + search, "test")


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BaseStorage]:
    """Opens the same storage as often as it is called, as a restarted driver does."""
    if request.param == "memory":
        only = InMemoryStorage()
        return lambda: only
    return lambda: open_storage(f"sqlite:///{tmp_path / 'journal.db'}")


def report(number: int, error: float = 0.1, outcome: Outcome = "completed") -> TrialReport:
    value = error if outcome == "completed" else None
    return TrialReport(
        number=number,
        summary=TrainingSummary(outcome=outcome, epochs=1, best_val_error=value, train_seconds=1.0, reason="a reason"),
    )


def drain(journal: StageJournal) -> list[tuple[int, TrialConfig]]:
    asked = []
    while (trial := journal.ask()) is not None:
        asked.append(trial)
    return asked


def test_a_plan_is_asked_for_point_by_point_in_order(storage: Callable[[], BaseStorage]) -> None:
    planned = grid_trials(config())
    journal = StageJournal(storage(), "s", "grid", Planned(planned))
    assert [trial for _, trial in drain(journal)] == planned


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_often_the_driver_dies_each_point_is_finished_once(data: st.DataObject) -> None:
    planned = grid_trials(config())
    storage = InMemoryStorage()
    finished: list[TrialConfig] = []
    for _ in range(200):
        journal = StageJournal(storage, "s", "grid", Planned(planned))  # a restart
        todo = journal.unfinished()
        for _ in range(data.draw(st.integers(0, 3), label="asked before the kill")):
            asked = journal.ask()
            todo += [asked] if asked is not None else []
        told = data.draw(st.integers(0, len(todo)), label="told before the kill")
        for number, trial in todo[:told]:
            journal.tell(report(number))
            finished.append(trial)
        if journal.finished() == len(planned):
            break
        if data.draw(st.booleans(), label="killed between enqueue and ask"):
            optuna.load_study(study_name="s.grid", storage=storage).enqueue_trial({"point": 3}, skip_if_exists=True)
    else:
        for number, trial in StageJournal(storage, "s", "grid", Planned(planned)).unfinished():
            StageJournal(storage, "s", "grid", Planned(planned)).tell(report(number))
            finished.append(trial)
        last = StageJournal(storage, "s", "grid", Planned(planned))
        for number, trial in drain(last):
            last.tell(report(number))
            finished.append(trial)
    assert sorted(map(repr, finished)) == sorted(map(repr, planned))


def test_a_trial_killed_before_it_got_its_point_is_taken_up_with_that_point(
    storage: Callable[[], BaseStorage],
) -> None:
    planned = grid_trials(config())
    StageJournal(storage(), "s", "grid", Planned(planned))
    study = optuna.load_study(study_name="s.grid", storage=storage())
    study.enqueue_trial({"point": 0})
    study.ask()  # and dies here
    journal = StageJournal(storage(), "s", "grid", Planned(planned))
    assert [trial for _, trial in journal.unfinished()] == planned[:1]
    assert [trial for _, trial in drain(journal)] == planned[1:]


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes"])
def test_every_sampler_asks_up_to_its_number_and_takes_up_what_was_running(
    storage: Callable[[], BaseStorage], sampler: Sampler
) -> None:
    study = config(sampler)
    journal = StageJournal(storage(), "s", "search", Searched(study, sigma_alpha))
    first = [journal.ask() for _ in range(4)]
    for asked in first[:3]:
        assert asked is not None
        journal.tell(report(asked[0], error=asked[1].alpha / 10))
    again = StageJournal(storage(), "s", "search", Searched(study, sigma_alpha))
    assert again.unfinished() == first[3:]
    assert len(drain(again)) == 2
    assert again.ask() is None


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes"])
def test_a_resumed_search_proposes_what_an_undisturbed_one_would(tmp_path: Path, sampler: Sampler) -> None:
    study = config(sampler, trials=8)

    def propose(restarts: bool) -> list[TrialConfig]:
        storage = open_storage(f"sqlite:///{tmp_path / f'{restarts}.db'}")
        journal = StageJournal(storage, "s", "search", Searched(study, sigma_alpha))
        proposed = []
        while (asked := journal.ask()) is not None:
            proposed.append(asked[1])
            journal.tell(report(asked[0], error=asked[1].alpha / 10))
            if restarts:
                journal = StageJournal(storage, "s", "search", Searched(study, sigma_alpha))
        return proposed

    undisturbed = propose(restarts=False)
    assert propose(restarts=True) == undisturbed
    assert len(set(map(repr, undisturbed))) == 8


def test_outcomes_are_told_as_what_they_are(storage: Callable[[], BaseStorage]) -> None:
    journal = StageJournal(storage(), "s", "grid", Planned(grid_trials(config())))
    outcomes: list[Outcome] = ["completed", "diverged", "failed"]
    for outcome in outcomes:
        asked = journal.ask()
        assert asked is not None
        journal.tell(report(asked[0], outcome=outcome))
    states = [trial.state for trial in optuna.load_study(study_name="s.grid", storage=storage()).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
    assert journal.reasons("failed") == ["grid-0002: a reason"]
    assert journal.reasons("diverged") == ["grid-0001: a reason"]
    assert journal.finished() == 3


def test_a_planned_training_that_failed_is_tried_again_when_the_study_is_resumed(
    storage: Callable[[], BaseStorage],
) -> None:
    planned = grid_trials(config())
    journal = StageJournal(storage(), "s", "grid", Planned(planned))
    for number, _ in drain(journal):
        journal.tell(report(number, outcome="failed" if number == 2 else "completed"))
    assert journal.reasons("failed") == ["grid-0002: a reason"]
    resumed = StageJournal(storage(), "s", "grid", Planned(planned))
    assert resumed.finished() == len(planned) - 1
    assert drain(resumed) == [(len(planned), planned[2])]
    resumed.tell(report(len(planned)))
    assert resumed.reasons("failed") == []
    assert resumed.finished() == len(planned)


def test_the_best_are_those_with_the_lowest_error_and_of_equals_the_first(
    storage: Callable[[], BaseStorage],
) -> None:
    journal = StageJournal(storage(), "s", "search", Searched(config(), sigma_alpha))
    for error in (0.3, 0.1, 0.2, 0.1):
        asked = journal.ask()
        assert asked is not None
        journal.tell(report(asked[0], error))
    assert [trial.number for trial in journal.best(3)] == [1, 3, 2]
