"""Trials that are the same training are one point: it is trained once, and confirmed once unless it is the baseline."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import BaseTrial, TrialState
from support.reopened import Reopened
from support.simulated import Course, Ended, Recorder, run

from search_spaces.spaces import noise_kind, sigma_alpha
from study.config import ArmConfig, StudyConfig, TrialConfig, parse_study
from study.planning import plan
from study.planning.keys import training_key
from study.planning.proposals import proposed_arm, proposed_baseline
from study.records import TrainingSummary, TrialReport
from study.running.journal import REPEATS, StageJournal
from study.running.sources import Searched
from study.tracking.events import Event, RunBegan, RunEnded

FILE = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
"""


class Killed(Exception):
    """Stands for a process that dies."""


def config(baseline: dict[str, Any] | None = None, **search: object) -> StudyConfig:
    keys = {"sampler": "random", "trials": 12, **search}
    if keys["sampler"] == "grid":
        del keys["trials"]
    given = [f"search={json.dumps(keys)}"] + ([f"baseline={json.dumps(baseline)}"] if baseline is not None else [])
    return parse_study(FILE, "test", given)


def three_points(trial: BaseTrial) -> ArmConfig:
    sigma = trial.suggest_categorical("sigma", (0.1, 0.5, 1.0))
    return ArmConfig(method="noisy_teacher", sigma=(sigma,), alpha=(0.5,))


def journal_of(
    study: StudyConfig, arm: Callable[[BaseTrial], ArmConfig], storage: optuna.storages.BaseStorage | None = None
) -> StageJournal:
    source = Searched(study, arm, multiplications=len, classes=10)
    return StageJournal(storage or InMemoryStorage(), "s", "search", source)


def course(trial: TrialConfig) -> Course:
    """Two epochs; σ = 1 diverges after the first."""
    if trial.sigma == 1.0:
        return Course([0.7], "diverged")
    noise = float(str(trial.sigma)) * trial.alpha if trial.has_noise and isinstance(trial.sigma, float) else 0.0
    return Course([0.5, 0.1 + noise / 10])


def one_point(trial: BaseTrial) -> ArmConfig:
    return ArmConfig(method="noisy_teacher", sigma=(0.1,), alpha=(trial.suggest_categorical("alpha", (0.5,)),))


class Counted:
    """Counts how often each training is begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def __call__(self, trial: TrialConfig) -> Course:
        self.begun.append(training_key(trial))
        return course(trial)


# ------------------------------------------------------------------------------------------------- repeated proposals


def test_a_training_that_is_proposed_again_is_not_trained_again() -> None:
    trained = Counted()
    storage, recorder = InMemoryStorage(), Recorder()
    journal = journal_of(config(), three_points, storage)
    ended = run(journal, trained, recorder=recorder)
    assert len(ended) == 12
    assert len(trained.begun) == len(set(trained.begun)) == 3
    first: dict[str, Ended] = {}
    for each in ended:
        original = first.setdefault(training_key(each.trial), each)
        assert each.outcome == original.outcome
        if each is not original:
            assert each.summary == TrainingSummary(
                outcome=original.outcome,
                epochs=0,
                best_val_error=original.summary.best_val_error if original.outcome == "completed" else None,
                train_seconds=0.0,
                reason=original.summary.reason,
                repeats=f"search-{original.number:04d}",
            )
    assert {each.outcome for each in ended} == {"completed", "diverged"}
    trials = optuna.load_study(study_name="s.search", storage=storage).trials
    values = {training_key(each.trial): trials[each.number].values for each in first.values()}
    for each in ended:
        assert trials[each.number].values == values[training_key(each.trial)]
        assert trials[each.number].user_attrs.get(REPEATS) == each.summary.repeats
    assert [type(event) for event in recorder.events if isinstance(event, RunBegan | RunEnded)] == [
        RunBegan,
        RunEnded,
    ] * 12


def test_after_a_resume_a_known_training_is_not_trained_again(storage: Reopened) -> None:
    run(journal_of(config(), three_points, storage()), Counted())
    trained = Counted()
    ended = run(journal_of(config(trials=24), three_points, storage()), trained)
    assert len(ended) == 12
    assert trained.begun == []


def test_of_two_objectives_a_repeated_trial_has_both_values() -> None:
    study = config(objectives=["multiplications", "val_error"])
    storage = InMemoryStorage()
    ended = run(journal_of(study, three_points, storage), course)
    trials = optuna.load_study(study_name="s.search", storage=storage).trials
    repeated = [each for each in ended if each.summary.repeats is not None]
    assert repeated
    for each in repeated:
        assert each.summary.repeats is not None
        assert trials[each.number].values == trials[int(each.summary.repeats.rpartition("-")[2])].values


def test_twins_that_run_at_the_same_time_are_both_trained() -> None:
    trained = Counted()
    ended = run(journal_of(config(trials=2), one_point), trained, workers=2)
    assert len(trained.begun) == 2
    assert [each.summary.repeats for each in ended] == [None, None]


def test_a_twin_that_was_stopped_early_is_trained() -> None:
    """A stopped trial has no result that another one could take."""
    trained: list[Course] = []
    order = [Course([0.1, 0.1]), Course([0.9, 0.9]), Course([0.05, 0.05])]

    def next_course(trial: TrialConfig) -> Course:
        trained.append(order[len(trained)])
        return trained[-1]

    sigmas = iter([0.1, 0.5, 0.5])
    proposed: dict[int, float] = {}

    def propose(trial: BaseTrial) -> ArmConfig:
        if trial.number not in proposed:
            proposed[trial.number] = next(sigmas)
        return ArmConfig(method="noisy_teacher", sigma=(proposed[trial.number],), alpha=(0.5,))

    journal = journal_of(config(trials=3, scheduler="asha", reduction_factor=2), propose)
    outcomes = [each.outcome for each in run(journal, next_course)]
    assert outcomes == ["completed", "pruned", "completed"]
    assert len(trained) == 3


class Mortal(Recorder):
    """Dies at one of the moments between two writes."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at

    def moment(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed


class MortalEvents(list[Event]):
    def __init__(self, mortal: Mortal) -> None:
        super().__init__()
        self._mortal = mortal

    def append(self, event: Event) -> None:
        self._mortal.moment()
        super().append(event)
        self._mortal.moment()


class MortalStorage(InMemoryStorage):
    """Dies before one of its writes."""

    mortal: Mortal | None = None

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._moment()
        super().set_trial_user_attr(trial_id, key, value)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._moment()
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        self._moment()
        return super().set_trial_state_values(trial_id, state, values)

    def _moment(self) -> None:
        if self.mortal is not None:
            self.mortal.moment()


@pytest.mark.parametrize("at", range(24))
def test_wherever_the_journal_breaks_off_each_trial_ends_once(at: int) -> None:
    study, storage = config(trials=8), MortalStorage()
    storage.mortal = Mortal(at)
    trained = Counted()
    with pytest.raises(Killed):
        run(journal_of(study, three_points, storage), trained)
    storage.mortal = None
    resumed = run(journal_of(study, three_points, storage), trained)
    trials = optuna.load_study(study_name="s.search", storage=storage).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 8
    assert len({each.number for each in resumed}) == len(resumed)
    of_point: dict[object, set[float | None]] = {}
    for trial in trials:
        of_point.setdefault(trial.params["sigma"], set()).add(trial.value)
    assert all(len(values) == 1 for values in of_point.values()), "one value for each point"
    assert len(trained.begun) <= 4, "three points, and the one that was being trained"


@pytest.mark.parametrize("at", range(40))
def test_wherever_a_study_dies_each_trial_ends_once(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after each write to the outbox, the last of which stands before the journal is told."""
    study, storage = config(trials=8), InMemoryStorage()
    undisturbed = {each.number: each.summary for each in run(journal_of(study, three_points), course)}
    mortal = Mortal(at)
    mortal.events = MortalEvents(mortal)
    trained = Counted()
    with pytest.raises(Killed):
        run(journal_of(study, three_points, storage), trained, recorder=mortal)
    resumed = Recorder()
    run(journal_of(study, three_points, storage), trained, recorder=resumed)
    tracked = [event for event in [*mortal.events, *resumed.events] if isinstance(event, RunEnded)]
    summaries = {event.trial_id: event.summary for event in tracked}
    assert summaries == {f"search-{number:04d}": summary for number, summary in undisturbed.items()}
    assert all(event.summary == summaries[event.trial_id] for event in tracked), (
        "an end that is reported twice is the same"
    )
    trials = optuna.load_study(study_name="s.search", storage=storage).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 8
    assert len(trained.begun) <= 4, "three points, and the one that was being trained"


# ------------------------------------------------------------------------------------------------------- what is best


def of_the_baseline(study: StudyConfig) -> Callable[[TrialConfig], bool]:
    return lambda trial: plan.is_the_baseline(study, trial)


def keys(journal: StageJournal, trials: list[BaseTrial]) -> list[str]:
    return [training_key(journal.source.trial_config(trial)) for trial in trials]


def test_the_best_are_different_points(storage: Reopened) -> None:
    journal = journal_of(config(), three_points, storage())
    run(journal, course)
    best = journal.best(3)
    assert [trial.params["sigma"] for trial in best] == [0.1, 0.5], "the third point diverged"
    assert len(set(keys(journal, best))) == 2


def test_the_baseline_is_not_confirmed_where_no_noise_is_best() -> None:
    study = config(trials=30, space="noise_kind")
    journal = journal_of(study, proposed_arm(study, noise_kind))
    ended = run(journal, course)
    plain = [each for each in ended if not each.trial.has_noise]
    assert len(plain) > 3, "the search is to propose no noise again and again"
    assert plan.is_the_baseline(study, journal.source.trial_config(journal.best(1)[0])), "no noise is to be best"
    winners = journal.best(3, of_the_baseline(study))
    assert len(set(keys(journal, winners))) == 3
    assert all(journal.source.trial_config(trial).has_noise for trial in winners)
    confirmed = plan.confirmation_trials(study, [noise_kind(trial, study) for trial in winners])
    assert len({training_key(trial) for trial in confirmed}) == 4 * len(study.seed_list), "three arms and the baseline"


def test_a_grid_confirms_no_point_whose_alpha_is_0() -> None:
    study = config(sampler="grid", grid_points=4)
    journal = journal_of(study, proposed_arm(study, sigma_alpha))
    trained = Counted()
    ended = run(journal, trained)
    assert len(ended) == 16
    assert sum(each.trial.alpha == 0 for each in ended) == 4
    assert len(trained.begun) == 13, "the four points without noise are one training"
    winners = journal.best(3, of_the_baseline(study))
    assert all(journal.source.trial_config(trial).has_noise for trial in winners)
    assert len(set(keys(journal, winners))) == 3


def test_a_front_has_each_point_once_and_not_the_baseline() -> None:
    study = config(trials=30, space="noise_kind", objectives=["val_error", "multiplications"])
    journal = journal_of(study, proposed_arm(study, noise_kind))
    run(journal, course)
    assert plan.is_the_baseline(study, journal.source.trial_config(journal.best(1)[0]))
    (winner,) = journal.best(3, of_the_baseline(study))
    assert journal.source.trial_config(winner).has_noise


RANGE = {"lr": {"log_uniform": [0.0001, 0.01]}}


@pytest.mark.parametrize(
    ("baseline", "search", "lr", "is_baseline"),
    [
        ({"method": "logit_regression"}, {}, 0.001, True),
        ({"method": "logit_regression"}, {"train": RANGE}, 0.001, True),
        ({"method": "logit_regression"}, {"train": RANGE}, 0.002, False),
        ({"method": "logit_regression", "train": {"lr": 0.002}}, {}, 0.001, False),
        ({"method": "logit_regression", "dropout": 0.5}, {}, 0.001, False),
        ({"method": "labels"}, {}, 0.001, False),
        ({"method": "logit_regression", "search": "equal"}, {"train": RANGE}, 0.002, True),
        ({"method": "logit_regression", "dropout": 0.5, "search": "equal"}, {"train": RANGE}, 0.002, False),
    ],
)
def test_a_plain_point_is_a_baseline_that_could_be_trained(
    baseline: dict[str, Any], search: dict[str, Any], lr: float, is_baseline: bool
) -> None:
    study = config(baseline, **search)
    for arm in (ArmConfig(method="logit_regression"), ArmConfig(method="noisy_teacher", sigma=(0.5,), alpha=(0.0,))):
        proposed = plan.with_training(arm, {"lr": lr} if search else {})
        assert plan.is_the_baseline(study, plan.search_trial(study, proposed)) == is_baseline
    noisy = plan.with_training(ArmConfig(method="noisy_teacher", sigma=(0.5,)), {"lr": lr} if search else {})
    assert not plan.is_the_baseline(study, plan.search_trial(study, noisy))


def test_what_the_baselines_search_proposes_is_the_baseline() -> None:
    study = config({"method": "logit_regression", "search": "equal"}, train=RANGE)
    proposed = proposed_baseline(study)(optuna.trial.FixedTrial({"lr": 0.005}))
    assert plan.is_the_baseline(study, plan.search_trial(study, proposed, "baseline"))


def test_a_search_that_found_only_the_baseline_confirms_it() -> None:
    study = config()
    confirmed = plan.confirmation_trials(study, [])
    assert [(trial.role, trial.network, trial.seed) for trial in confirmed] == [
        ("baseline", "digits-fc32", seed) for seed in study.confirmation_seeds
    ]


# --------------------------------------------------------------------------------------------------- what was chosen


def end(journal: StageJournal, error: float | None) -> None:
    """Ask for a trial, and have it completed with this error, or failed."""
    asked = journal.ask()
    assert asked is not None
    summary = TrainingSummary(
        outcome="failed" if error is None else "completed", epochs=1, best_val_error=error, train_seconds=1.0
    )
    journal.tell(TrialReport(number=asked[0], summary=summary))


def test_a_choice_stays_when_a_better_trial_follows(storage: Reopened) -> None:
    """A resume tries again what failed, and may find a better point while the first ones are confirmed already."""
    study = config(trials=3)

    def opened() -> StageJournal:
        return journal_of(study, proposed_arm(study, sigma_alpha), storage())

    journal = opened()
    for error in (0.3, None, 0.2):
        end(journal, error)
    assert [trial.number for trial in journal.choose(1)] == [2]
    assert [trial.number for trial in opened().choose(1)] == [2]
    resumed = opened()
    end(resumed, 0.1)
    assert [trial.number for trial in resumed.choose(1)] == [2, 3]
    assert [trial.number for trial in opened().choose(1)] == [2, 3]
