"""A search space that raises an error or rejects a point: another point is drawn, and the search keeps its number."""

import contextlib
from collections.abc import Callable
from itertools import count
from typing import cast

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FrozenTrial, TrialState
from support.reopened import Reopened
from support.study_files import search_with_effect

from search_spaces.spaces import sigma_alpha
from study.config import ArmConfig, Sampler, StudyConfig, TrialConfig, parse_study
from study.errors import UserError
from study.planning.proposals import proposed_arm
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.running.journal import StageJournal
from study.running.samplers import SAMPLERS as BY_NAME
from study.running.sources import MAX_REJECTED, RANDOM_AFTER, Searched

FILE = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
train: {lr: 0.01}
"""
SAMPLERS: tuple[Sampler, ...] = ("grid", "random", "qmc", "tpe", "gp", "cmaes")

Space = Callable[[BaseTrial, StudyConfig], ArmConfig]


def _searched(space: Space, sampler: Sampler = "random", trials: int = 9) -> Searched:
    search = search_with_effect({"sampler": sampler, "trials": trials, "grid_points": 3, "startup_trials": 3})
    study = parse_study(FILE, "test", [f"search={search}".replace("'", '"').replace("None", "null")])
    return Searched(study, proposed_arm(study, space), multiplications=len, classes=10)


def _sigma(trial: TrialConfig) -> float:
    assert isinstance(trial.sigma, float)
    return trial.sigma


def _raises_above(highest: float) -> Space:
    def space(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
        arm = sigma_alpha(trial, study)
        if trial.params["sigma"] > highest:
            raise ZeroDivisionError("a mistake in the space")
        return arm

    return space


def _rejects_above(highest: float) -> Space:
    def space(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
        arm = sigma_alpha(trial, study)
        if trial.params["sigma"] > highest:
            raise optuna.TrialPruned(f"σ above {highest:g}")
        return arm

    return space


def _ended(number: int, trial: TrialConfig) -> TrialReport:
    summary = TrainingSummary(outcome="completed", epochs=1, best_val_error=_sigma(trial) / 4, train_seconds=1.0)
    return TrialReport(number=number, summary=summary)


def _run(journal: StageJournal) -> list[TrialConfig]:
    """Every trial of a stage, one after another."""
    trials = []
    waiting = journal.unfinished()
    while (asked := waiting.pop(0) if waiting else journal.ask()) is not None:
        trials.append(asked[1])
        journal.tell(_ended(*asked))
    return trials


def _states(storage: Reopened) -> list[TrialState]:
    return [trial.state for trial in optuna.load_study(study_name="s.search", storage=storage()).trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_that_raised_an_error_can_be_resumed(storage: Reopened, sampler: Sampler) -> None:
    """The value for which it raised is closed as failed, and another one is drawn after the space was changed."""
    before = StageJournal(storage(), "s", "search", _searched(_raises_above(1.0), sampler))
    with pytest.raises(
        UserError, match=r"does not propose one ArmConfig \(ZeroDivisionError: a mistake in the space\)"
    ):
        _run(before)
    failed = 0 if sampler == "grid" else 1  # the space is asked for the whole grid before the first trial
    assert _states(storage).count(TrialState.FAIL) == failed
    again = StageJournal(storage(), "s", "search", _searched(sigma_alpha, sampler))
    _run(again)
    states = _states(storage)
    assert states.count(TrialState.COMPLETE) == again.finished() == again.source.total == 9
    assert states.count(TrialState.FAIL) == failed
    assert TrialState.RUNNING not in states


def test_a_value_left_running_by_an_error_is_drawn_anew(storage: Reopened) -> None:
    """Earlier versions left it RUNNING, and so does a kill before the space was asked."""
    journal = StageJournal(storage(), "s", "search", _searched(sigma_alpha))
    left = optuna.load_study(study_name="s.search", storage=storage(), sampler=optuna.samplers.RandomSampler(3)).ask()
    highest = left.suggest_float("sigma", 0.01, 2.0) - 0.01
    journal = StageJournal(storage(), "s", "search", _searched(_raises_above(highest)))
    assert journal.unfinished() == []
    assert _states(storage) == [TrialState.FAIL]
    rest = _run(StageJournal(storage(), "s", "search", _searched(sigma_alpha)))
    assert len(rest) == 9


def test_a_trial_that_has_begun_is_not_thrown_away(storage: Reopened) -> None:
    journal = StageJournal(storage(), "s", "search", _searched(sigma_alpha))
    asked = journal.ask()
    assert asked is not None
    epoch = EpochRecord(epoch=1, train_loss=1, val_error=0.5, images_per_second=1, seconds=1, timestamp_ms=1)
    journal.report(asked[0], [epoch])
    for space, said in ((_raises_above(0.0), "does not propose"), (_rejects_above(0.0), "accepted before")):
        with pytest.raises(UserError, match=said):
            StageJournal(storage(), "s", "search", _searched(space)).unfinished()
    assert _states(storage) == [TrialState.RUNNING]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_rejected_points_are_replaced(storage: Reopened, sampler: Sampler) -> None:
    """`raise TrialPruned` rejects a point: it is not run, and it takes no place in the search."""
    source = _searched(_rejects_above(1.5), sampler)
    journal = StageJournal(storage(), "s", "search", source)
    trials = _run(journal)
    assert len(trials) == source.total == journal.finished() == (6 if sampler == "grid" else 9)
    assert max(map(_sigma, trials)) <= 1.5
    assert journal.reasons("failed") == []


class Killed(BaseException):
    """The process dies here."""


def _dies_at(call: int, space: Space) -> Space:
    """A space in which the process dies, at this call of the space, after the point was drawn."""
    calls = count(1)

    def dying(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
        sigma_alpha(trial, study)
        if next(calls) == call:
            raise Killed
        return space(trial, study)

    return dying


def _points(storage: Reopened, name: str) -> list[dict[str, object]]:
    return [trial.params for trial in optuna.load_study(study_name=f"{name}.search", storage=storage()).trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_search_draws_the_same_points(sampler: Sampler) -> None:
    """Accepted or rejected, and also after a kill between two rejected points."""
    memory = optuna.storages.InMemoryStorage()
    source = _searched(_rejects_above(1.5), sampler, trials=5)
    undisturbed = _run(StageJournal(memory, "other", "search", source))
    for call in (2, 5, 6):
        with contextlib.suppress(Killed):
            _run(StageJournal(memory, "s", "search", _searched(_dies_at(call, _rejects_above(1.5)), sampler, trials=5)))
    _run(StageJournal(memory, "s", "search", source))
    assert len(undisturbed) == source.total
    assert _points(lambda: memory, "s") == _points(lambda: memory, "other")


class AlwaysTheSame(optuna.samplers.RandomSampler):
    """Proposes σ = 1.75 whatever happened."""

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> float:
        if param_name == "sigma":
            return 1.75
        return cast("float", super().sample_independent(study, trial, param_name, param_distribution))


def test_a_sampler_that_repeats_itself_is_replaced_for_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rejected points in a row are the sampler's. Then random ones follow until the space accepts one."""
    monkeypatch.setitem(cast("dict[str, object]", BY_NAME), "gp", lambda _: AlwaysTheSame())
    memory = optuna.storages.InMemoryStorage()
    trials = _run(StageJournal(memory, "s", "search", _searched(_rejects_above(0.5), "gp", trials=3)))
    assert len(set(map(_sigma, trials))) == 3
    sigmas = [point["sigma"] for point in _points(lambda: memory, "s")]
    assert sigmas.count(1.75) == 3 * RANDOM_AFTER
    assert sigmas[:RANDOM_AFTER] == [1.75] * RANDOM_AFTER


def test_a_space_that_rejects_everything_ends_in_one_line(storage: Reopened) -> None:
    journal = StageJournal(storage(), "s", "search", _searched(_rejects_above(0.0)))
    with pytest.raises(UserError, match=f"rejected {MAX_REJECTED} points one after another; let it accept more"):
        journal.ask()
    assert len(_states(storage)) == MAX_REJECTED
