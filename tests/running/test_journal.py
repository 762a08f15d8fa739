"""The journal gives every trial once, whatever died between an ask and its tell."""

import json
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sqlalchemy import event
from support.reopened import Reopened
from support.study_files import THREE_SIGMA, search_with_effect

from search_spaces.spaces import sigma_alpha
from study.adapters.optuna_storage import SoleWriter
from study.config import ArmConfig, ArmStudent, Outcome, StudyConfig, TrialConfig, parse_study
from study.errors import UserError
from study.planning.keys import training_key
from study.planning.plan import grid_trials
from study.planning.proposals import proposed_arm
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.running.journal import StageJournal, is_taken, open_storage
from study.running.sources import TRAINING_KEY, Planned, Searched, TrialSource
from study.stages import Stage

FILE = THREE_SIGMA.replace("seeds: [0]", "seeds: [0, 1]")


def config(**search: object) -> StudyConfig:
    keys = search_with_effect({"sampler": "random", "trials": 6, **search})
    return parse_study(FILE, "test", [f"search={json.dumps(keys)}"])


def report(number: int, error: float = 0.1, outcome: Outcome = "completed") -> TrialReport:
    value = error if outcome == "completed" else None
    return TrialReport(
        number=number,
        summary=TrainingSummary(outcome=outcome, epochs=1, best_val_error=value, train_seconds=1.0, reason="a reason"),
    )


def epochs(*errors: float) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=epoch, train_loss=1.0, val_error=error, images_per_second=1.0, seconds=1.0, timestamp_ms=epoch
        )
        for epoch, error in enumerate(errors, 1)
    ]


def searched(study: StudyConfig) -> Searched:
    return Searched(study, proposed_arm(study, sigma_alpha), multiplications=len, classes=10)


def drain(journal: StageJournal) -> list[tuple[int, TrialConfig]]:
    asked = []
    while (trial := journal.ask()) is not None:
        asked.append(trial)
    return asked


def test_a_plan_is_asked_for_point_by_point_in_order(storage: Reopened) -> None:
    planned = grid_trials(config())
    journal = StageJournal(storage(), "s", "grid", Planned(planned))
    assert [trial for _, trial in drain(journal)] == planned


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_point_is_finished_once(data: st.DataObject) -> None:
    """Each point is finished once, however often the driver dies."""
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
    else:
        for number, trial in StageJournal(storage, "s", "grid", Planned(planned)).unfinished():
            StageJournal(storage, "s", "grid", Planned(planned)).tell(report(number))
            finished.append(trial)
        last = StageJournal(storage, "s", "grid", Planned(planned))
        for number, trial in drain(last):
            last.tell(report(number))
            finished.append(trial)
    assert sorted(map(repr, finished)) == sorted(map(repr, planned))


def test_a_planned_training_enters_the_journal_with_its_key(storage: Reopened) -> None:
    planned = grid_trials(config())
    journal = StageJournal(storage(), "s", "grid", Planned(planned))
    for place in range(2):
        assert journal.ask() is not None
        trials = optuna.load_study(study_name="s.grid", storage=storage()).trials
        keys = [training_key(trial) for trial in planned[: place + 1]]
        assert [trial.user_attrs[TRAINING_KEY] for trial in trials] == keys, "one trial more, not two"
        assert {trial.state for trial in trials} == {TrialState.RUNNING}


def test_a_training_is_found_by_its_key_in_a_longer_plan(storage: Reopened) -> None:
    """A plan that was matched by position trained σ = 0.5 twice and σ = 0.3 never."""
    short, long = (
        grid_trials(parse_study(FILE, "test", [f"arms.0.sigma={sigmas}"]))
        for sigmas in ("[0.1, 0.5]", "[0.1, 0.3, 0.5]")
    )
    journal = StageJournal(storage(), "s", "grid", Planned(short))
    for number, _ in drain(journal):
        journal.tell(report(number))
    left = [trial.sigma for _, trial in drain(StageJournal(storage(), "s", "grid", Planned(long)))]
    assert left == [0.3, 0.3]


def test_a_journal_with_a_training_of_no_plan_is_refused(storage: Reopened) -> None:
    drain(StageJournal(storage(), "s", "grid", Planned(grid_trials(config()))))
    other = Planned(grid_trials(parse_study(FILE, "test", ["arms.0.sigma=0.7"])))
    with pytest.raises(UserError, match="a training that the study file does not plan"):
        StageJournal(storage(), "s", "grid", other).unfinished()
    with pytest.raises(UserError, match="a training that the study file does not plan"):
        StageJournal(storage(), "s", "grid", other).ask()


def test_sqlite_journal_is_readable_during_a_study(tmp_path: Path) -> None:
    """Others can read an SQLite journal while a study writes to it."""
    address = f"sqlite:///{tmp_path / 'journal.db'}"
    journal = StageJournal(open_storage(address), "s", "grid", Planned(grid_trials(config())))
    others = optuna.storages.RDBStorage(address)
    for number in range(3):
        journal.ask()
        journal.keep(number, epochs(0.5))
        journal.tell(report(number))
        (study,) = optuna.get_all_study_summaries(others)
        assert study.n_trials == number + 1


@pytest.mark.parametrize(("stage", "written"), [("grid", 2), ("search", 4)])
def test_a_trial_of_one_epoch_is_a_few_transactions(tmp_path: Path, stage: Stage, written: int) -> None:
    """docs/scaling.md counts them. The search has two parameters, σ and α."""
    storage = open_storage(f"sqlite:///{tmp_path / 'journal.db'}")
    assert isinstance(storage, SoleWriter)
    source: TrialSource = Planned(grid_trials(config())) if stage == "grid" else searched(config())
    journal = StageJournal(storage, "s", stage, source)
    journal.ask()  # reads the journal
    commits: list[object] = []
    event.listen(storage._backend.engine, "commit", commits.append)
    assert journal.ask() is not None
    journal.keep(1, epochs(0.5))
    journal.tell(report(1))
    assert len(commits) == written


def test_shared_drive_journal_has_no_log_file(tmp_path: Path) -> None:
    """A journal on a drive of several hosts has no write-ahead log beside it."""
    address = f"sqlite:///{tmp_path / 'journal.db'}"
    for of_one_host in (False, True, False):
        storage = open_storage(address, of_one_host)
        assert isinstance(storage, SoleWriter)
        StageJournal(storage, "s", "grid", Planned(grid_trials(config()))).ask()
        assert (tmp_path / "journal.db-wal").exists() == of_one_host
        storage.remove_session()
        storage._backend.engine.dispose()


def test_outcomes_are_told_as_what_they_are(storage: Reopened) -> None:
    journal = StageJournal(storage(), "s", "grid", Planned(grid_trials(config())))
    outcomes: list[Outcome] = ["completed", "diverged", "failed", "pruned"]
    for outcome in outcomes:
        asked = journal.ask()
        assert asked is not None
        journal.keep(asked[0], epochs(0.5, 0.4))
        journal.tell(report(asked[0], outcome=outcome))
    trials = optuna.load_study(study_name="s.grid", storage=storage()).trials
    assert [t.state for t in trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL, TrialState.PRUNED]
    assert trials[0].value == 0.1
    assert trials[3].value == 0.4, "Optuna takes the last epoch of a trial that was stopped"
    assert all(trial.intermediate_values == {1: 0.5, 2: 0.4} for trial in trials)
    assert journal.reasons("failed") == ["grid-0002: a reason"]
    assert journal.reasons("diverged") == ["grid-0001: a reason"]
    assert journal.finished() == 4


def test_failed_planned_training_is_retried_on_resume(
    storage: Reopened,
) -> None:
    """A planned training that failed is tried again when the study is resumed."""
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


def test_best_trials_have_the_lowest_error(
    storage: Reopened,
) -> None:
    """The best trials are those with the lowest error, and of equal ones the first."""
    journal = StageJournal(storage(), "s", "search", searched(config()))
    for error in (0.3, 0.1, 0.2, 0.1):
        asked = journal.ask()
        assert asked is not None
        journal.tell(report(asked[0], error))
    assert [trial.number for trial in journal.best(3)] == [1, 3, 2]


# --------------------------------------------------------------------------------------------------- stopping early


def worse_and_worse(storage: Reopened, restart: bool, **search: object) -> dict[int, int]:
    """Nine trials one after another, each worse than the one before: after how many epochs each is stopped."""
    if search["scheduler"] == "median":
        search["startup_trials"] = 3
    study = config(trials=9, **search)
    journal = StageJournal(storage(), "s", "search", searched(study))
    stopped: dict[int, int] = {}
    while (asked := journal.ask()) is not None:
        number = asked[0]
        errors = [0.1 + 0.05 * number - 0.001 * passed for passed in range(9)]
        for epoch in range(1, 10):
            if restart:
                journal = StageJournal(storage(), "s", "search", searched(study))
                assert [each for each, _ in journal.unfinished()] == [number]
            if journal.report(number, epochs(*errors[:epoch])):
                stopped[number] = epoch
                break
        journal.tell(report(number, min(errors), "pruned" if number in stopped else "completed"))
    return stopped


def test_asha_lets_one_of_so_many_go_on_from_rung_to_rung(storage: Reopened) -> None:
    stopped = worse_and_worse(storage, restart=False, scheduler="asha", reduction_factor=3, grace_epochs=1)
    assert set(stopped.values()) <= {1, 3, 9}, "rungs lie at the powers of the reduction factor"
    assert set(stopped) == set(range(1, 9)), "the best is never stopped"


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_a_scheduler_knows_after_a_resume_what_it_knew_before(
    storage: Reopened, scheduler: str, tmp_path: Path
) -> None:
    undisturbed = worse_and_worse(
        lambda: open_storage(f"sqlite:///{tmp_path / 'other.db'}"), False, scheduler=scheduler
    )
    assert worse_and_worse(storage, restart=True, scheduler=scheduler) == undisturbed
    assert undisturbed


def test_fifo_stops_nothing(storage: Reopened) -> None:
    assert worse_and_worse(storage, restart=False, scheduler="fifo") == {}


def test_decided_stop_survives_a_restart(
    storage: Reopened,
) -> None:
    """A trial is stopped even if the study died between the decision to stop it and its execution."""
    study = config(trials=2, scheduler="asha", reduction_factor=2)
    journal = StageJournal(storage(), "s", "search", searched(study))
    drain(journal)
    assert not journal.report(0, epochs(0.1))
    assert journal.report(1, epochs(0.2))
    resumed = StageJournal(storage(), "s", "search", searched(study))
    assert [number for number, _ in resumed.unfinished()] == [0, 1]
    assert resumed.report(1, epochs(0.2))


def test_undecided_stop_survives_a_restart(
    storage: Reopened,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial is stopped even if the study died after its epochs were written and before the scheduler was asked."""

    def dies(*_: object) -> bool:
        raise KeyboardInterrupt

    study = config(trials=2, scheduler="asha", reduction_factor=2)
    journal = StageJournal(storage(), "s", "search", searched(study))
    drain(journal)
    assert not journal.report(0, epochs(0.1))
    monkeypatch.setattr(journal, "_is_to_be_stopped", dies)
    with pytest.raises(KeyboardInterrupt):
        journal.report(1, epochs(0.2))
    resumed = StageJournal(storage(), "s", "search", searched(study))
    assert [number for number, _ in resumed.unfinished()] == [0, 1]
    assert not resumed.report(0, epochs(0.1))
    assert resumed.report(1, epochs(0.2))


def test_a_stopped_trial_is_never_among_the_best(storage: Reopened) -> None:
    journal = StageJournal(storage(), "s", "search", searched(config(trials=2)))
    drain(journal)
    journal.keep(0, epochs(0.01))
    journal.tell(report(0, outcome="pruned"))
    journal.tell(report(1, error=0.3))
    assert [trial.number for trial in journal.best(2)] == [1]


# ------------------------------------------------------------------------------------------------- two objectives


def test_of_two_objectives_the_pareto_front_is_the_best(storage: Reopened) -> None:
    study = config(trials=6, objectives=["val_error", "multiplications"])
    # The network's name has as many letters as multiplications here; errors fall as it grows, but for the fourth.
    arm = {trial: study.arms[0].model_copy(update={"sigma": (1.0,), "student": None}) for trial in range(6)}
    lengths = iter([5, 4, 3, 4, 1, 2])
    costs = {f"FC{'9' * n}": n for n in range(1, 7)}
    asked_of = {}

    def propose(trial: optuna.trial.BaseTrial) -> ArmConfig:
        network = trial.suggest_categorical("network", sorted(costs))
        return arm[0].model_copy(update={"student": ArmStudent(network=(network,))})

    source = Searched(study, propose, multiplications=costs.__getitem__, classes=10)
    journal = StageJournal(storage(), "s", "search", source)
    while (asked := journal.ask()) is not None:
        asked_of[asked[0]] = (costs[asked[1].network], next(lengths))
        journal.tell(report(asked[0], error=asked_of[asked[0]][1] / 10))
    front = {
        point
        for point in asked_of.values()
        if not any(o != point and o[0] <= point[0] and o[1] <= point[1] for o in asked_of.values())
    }
    best = journal.best(10)
    assert {asked_of[trial.number] for trial in best} == front
    ends = journal.best(2)
    assert {asked_of[trial.number] for trial in ends} == {min(front), max(front)}


# ------------------------------------------------------------------------------------------------------ addresses


def test_a_storage_that_is_shared_knows_whose_name_is_taken(storage: Reopened) -> None:
    StageJournal(storage(), "mine.of.2026", "grid", Planned(grid_trials(config())))
    assert is_taken(storage(), "mine.of.2026")
    assert not is_taken(storage(), "mine.of")
    assert not is_taken(storage(), "mine")


@pytest.mark.parametrize(
    "address",
    ["sqlite:////no/such/folder/journal.db", "postgresql://me:secret@127.0.0.1:1/none", "no-such-thing", "x://"],
)
def test_unusable_address_is_one_line(address: str) -> None:
    """An address that cannot be used is one line without its password."""
    with pytest.raises(UserError) as raised:
        open_storage(address)
    assert str(raised.value).startswith("OPTUNA_STORAGE ")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    """The user set no OPTUNA_STORAGE, so the message does not speak of it."""
    file = tmp_path / "journal.db"
    file.write_bytes(b"hello" * 3000)
    with pytest.raises(UserError, match=r"^the journal sqlite:.*journal\.db is damaged .*file is not a database"):
        open_storage(f"sqlite:///{file}")
