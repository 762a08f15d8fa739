"""Samplers learn where trainings diverge, and a diverged trial is never a result."""

import json
import math
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import GPSampler
from optuna.storages import InMemoryStorage
from optuna.trial import BaseTrial, TrialState, create_trial
from support.reopened import Reopened
from support.simulated import Course, Ended, run
from support.study_files import THREE_SIGMA, search_with_effect

from search_spaces.spaces import sigma_alpha
from study.adapters.optuna_gp import gp
from study.config import ArmConfig, ArmStudent, Outcome, StudyConfig, TrialConfig, parse_study
from study.planning.plan import grid_trials
from study.planning.proposals import proposed_arm
from study.running.diverged import OUTCOME, MedianOfResults, chance_error, has_diverged
from study.running.journal import StageJournal
from study.running.sources import Planned, Searched

CLASSES = 10
CHANCE = 0.9

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def config(**search: object) -> StudyConfig:
    keys = {"sampler": "random", "trials": 6, **search}
    return parse_study(THREE_SIGMA, "test", [f"search={json.dumps(search_with_effect(keys))}"])


def journal_of(study: StudyConfig, storage: optuna.storages.BaseStorage | None = None) -> StageJournal:
    source = Searched(study, proposed_arm(study, sigma_alpha), multiplications=len, classes=CLASSES)
    return StageJournal(storage or InMemoryStorage(), "s", "search", source)


def in_order(*courses: Course) -> Callable[[TrialConfig], Course]:
    """The first trial that is seen takes the first course, the second one the second."""
    seen: dict[str, Course] = {}
    left = iter(courses)

    def course(trial: TrialConfig) -> Course:
        return seen[repr(trial)] if repr(trial) in seen else seen.setdefault(repr(trial), next(left))

    return course


def loaded(storage: optuna.storages.BaseStorage, stage: str = "search") -> optuna.Study:
    return optuna.load_study(study_name=f"s.{stage}", storage=storage)


# --------------------------------------------------------------------------------------- where half of a range diverges


class NearTheEdge:
    """A search: learning rates above 10^-2, half of the range, diverge; the best one lies close below.

    Args:
        sampler: of the search.
        best: the logarithm (base 10) of the best learning rate.
        seed: of the search.
        trials: of the search.
    """

    def __init__(self, sampler: str, best: float, seed: int, trials: int = 60) -> None:
        self._best = best
        ranges = {"lr": {"log_uniform": [1e-4, 1.0]}}
        study = config(sampler=sampler, trials=trials, seed=seed, train=ranges)
        self.ended: list[Ended] = run(journal_of(study), self._course)

    def _above_the_best(self, trial: TrialConfig) -> float:
        assert isinstance(trial.sigma, float)
        rate = 0.02 * (math.log10(trial.train.lr) - self._best) ** 2
        return float(rate + 0.02 * ((trial.sigma - 0.8) / 2) ** 2 + 0.02 * (trial.alpha - 0.35) ** 2)

    def _course(self, trial: TrialConfig) -> Course:
        if trial.train.lr > 1e-2:
            return Course([], "diverged")
        return Course([0.02 + self._above_the_best(trial)])

    @property
    def diverged(self) -> int:
        return sum(ended.outcome == "diverged" for ended in self.ended)

    @property
    def regret(self) -> float:
        """How far the best trial's error lies above the lowest one that there is."""
        return min(self._above_the_best(ended.trial) for ended in self.ended if ended.outcome == "completed")


@pytest.mark.parametrize("best", [-2.1, -2.7])
def test_tpe_leaves_a_region_where_trainings_diverge(best: float) -> None:
    searches = [NearTheEdge("tpe", best, seed) for seed in range(6)]
    assert max(search.diverged for search in searches) <= 30
    assert np.mean([search.regret for search in searches]) <= 0.0003


def test_gp_leaves_a_region_where_trainings_diverge() -> None:
    """A third of the trials of the test below, which takes a minute."""
    assert NearTheEdge("gp", best=-2.1, seed=0, trials=20).diverged <= 10


@pytest.mark.slow
@pytest.mark.parametrize("best", [-2.1, -2.7])
def test_gp_leaves_that_region_from_every_seed(best: float) -> None:
    searches = [NearTheEdge("gp", best, seed) for seed in range(6)]
    assert max(search.diverged for search in searches) <= 30
    assert np.mean([search.regret for search in searches]) <= 0.0003


# ------------------------------------------------------------------------------------------------------- in the journal


def test_a_diverged_trial_is_complete_with_the_error_of_guessing(storage: Reopened) -> None:
    outcomes: list[Outcome] = ["completed", "diverged", "failed", "diverged"]
    errors: list[list[float]] = [[0.2], [0.05], [0.04], []]
    courses = [Course(each, outcome) for each, outcome in zip(errors, outcomes, strict=True)]
    journal = journal_of(config(trials=4), storage())
    run(journal, in_order(*courses))
    trials = loaded(storage()).trials
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.state for trial in trials] == states
    assert [trial.value for trial in trials] == [0.2, CHANCE, None, CHANCE]
    assert [trial.user_attrs[OUTCOME] for trial in trials] == outcomes
    assert [trial.number for trial in journal.best(4)] == [0]
    assert journal.reasons("diverged") == ["search-0001: a reason", "search-0003: a reason"]
    assert journal.reasons("failed") == ["search-0002: a reason"]


def test_the_error_of_guessing_comes_from_the_number_of_classes() -> None:
    assert chance_error(10) == pytest.approx(0.9)
    assert chance_error(2) == 0.5


def test_a_search_in_which_all_diverged_has_no_best_trial() -> None:
    journal = journal_of(config(trials=3))
    run(journal, lambda trial: Course([0.3, 0.2], "diverged"))
    assert journal.best(3) == []


@pytest.mark.parametrize(
    "search",
    [
        *({"sampler": sampler, "trials": 9, "startup_trials": 3} for sampler in ("tpe", "gp", "cmaes")),
        *({"sampler": sampler, "trials": 9} for sampler in ("qmc", "random")),
        {"sampler": "grid", "grid_points": 3},
    ],
    ids=lambda search: search["sampler"],
)
def test_every_sampler_finishes_a_search_in_which_all_diverge(search: dict[str, object]) -> None:
    journal = journal_of(parse_study(THREE_SIGMA, "test", [f"search={json.dumps(search)}"]))
    assert {ended.outcome for ended in run(journal, lambda trial: Course([], "diverged"))} == {"diverged"}
    assert journal.finished() == 9


def test_a_diverged_training_of_a_grid_has_failed_to_optuna(storage: Reopened) -> None:
    """Nothing is proposed from a grid's trials, so they need no value."""
    journal = StageJournal(storage(), "s", "grid", Planned(grid_trials(config())))
    run(journal, lambda trial: Course([0.3], "diverged"))
    assert {trial.state for trial in loaded(storage(), "grid").trials} == {TrialState.FAIL}
    assert len(journal.reasons("diverged")) == len(grid_trials(config()))


def test_diverged_trials_of_an_older_version_stay_ended(storage: Reopened) -> None:
    journal = journal_of(config(trials=3), storage())
    for _ in range(2):
        journal.ask()
    study = loaded(storage())
    for trial in study.trials:
        study._storage.set_trial_user_attr(trial._trial_id, OUTCOME, "diverged")
        study._storage.set_trial_user_attr(trial._trial_id, "reason", "the loss is nan")
        study.tell(trial.number, state=TrialState.FAIL)
    resumed = journal_of(config(trials=3), storage())
    assert resumed.unfinished() == []
    assert resumed.finished() == 2
    (last,) = run(resumed, lambda trial: Course([0.2]))
    assert last.number == 2
    assert [trial.number for trial in resumed.best(3)] == [2]
    assert resumed.reasons("diverged") == ["search-0000: the loss is nan", "search-0001: the loss is nan"]


def test_a_failed_trial_whose_end_was_half_written_counts_once(storage: Reopened) -> None:
    """A kill between the two writes of an end leaves a trial that runs and whose outcome is known."""
    journal = journal_of(config(trials=2), storage())
    journal.ask()
    (trial,) = loaded(storage()).trials
    storage().set_trial_user_attr(trial._trial_id, OUTCOME, "failed")
    resumed = journal_of(config(trials=2), storage())
    assert [number for number, _ in resumed.unfinished()] == [0]
    assert resumed.ask() is not None
    assert resumed.ask() is None


# ------------------------------------------------------------------------------------------------------- two objectives


def test_a_diverged_trial_keeps_its_cost_and_leaves_the_front() -> None:
    study = config(trials=12, objectives=["multiplications", "val_error"])

    def propose(trial: BaseTrial) -> ArmConfig:
        width = trial.suggest_int("width", 1, 9)
        return ArmConfig(method="labels", student=ArmStudent(network=(f"FC{width}-FC10",)))

    def multiplications(network: str) -> int:
        return int(network.removeprefix("FC").removesuffix("-FC10"))

    source = Searched(study, propose, multiplications, CLASSES)
    storage = InMemoryStorage()
    journal = StageJournal(storage, "s", "search", source)
    ended = run(journal, lambda trial: Course([0.1], "diverged" if multiplications(trial.network) < 5 else "completed"))
    diverged = {each.number: each.trial for each in ended if each.outcome == "diverged"}
    assert 0 < len(diverged) < 12
    trials = loaded(storage).trials
    for number, trial in diverged.items():
        assert trials[number].values == [multiplications(trial.network), CHANCE]
    assert {trial.number for trial in loaded(storage).best_trials} & diverged.keys(), "one of them is on Optuna's front"
    assert journal.best(12)
    assert not {trial.number for trial in journal.best(12)} & diverged.keys()


# ------------------------------------------------------------------------------------------------------ Optuna's pieces


def told(study: optuna.Study, x: float, value: float, outcome: Outcome = "completed", **history: float) -> None:
    study.add_trial(
        create_trial(
            params={"x": x},
            distributions={"x": FloatDistribution(0.0, 1.0)},
            value=value,
            user_attrs={OUTCOME: outcome},
            intermediate_values={int(step.removeprefix("epoch")): error for step, error in history.items()},
        )
    )


def test_the_median_leaves_diverged_trials_out() -> None:
    """Their epochs would move the median."""
    study = optuna.create_study()
    for x in (0.1, 0.2, 0.3):
        told(study, x, CHANCE, "diverged", epoch1=0.01)
    running = create_trial(
        state=TrialState.RUNNING,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        intermediate_values={1: 0.3},
    )
    assert MedianPruner(n_startup_trials=2).prune(study, running)
    assert not MedianOfResults(n_startup_trials=2).prune(study, running)
    told(study, 0.6, 0.1, epoch1=0.4)
    told(study, 0.7, 0.1, epoch1=0.5)
    assert not MedianOfResults(n_startup_trials=2).prune(study, running), "0.3 lies below the median 0.45"
    told(study, 0.8, 0.1, epoch1=0.2)
    told(study, 0.9, 0.1, epoch1=0.1)
    told(study, 0.9, 0.1, epoch1=0.1)
    assert MedianOfResults(n_startup_trials=2).prune(study, running), "0.3 lies above the median 0.2"


def test_a_search_with_median_ignores_what_diverged() -> None:
    journal = journal_of(config(trials=4, startup_trials=2, scheduler="median"))
    diverged, slow = Course([0.01, 0.01], "diverged"), Course([0.5, 0.4, 0.3])
    ended = run(journal, in_order(diverged, diverged, slow, slow))
    assert [each.outcome for each in ended] == ["diverged", "diverged", "completed", "completed"]


@pytest.mark.parametrize("error", [0, 1])
def test_gp_takes_a_diverged_trial_for_the_worst_result(error: int) -> None:
    """Its proposal is Optuna's own, where a diverged trial has the worst error of the others and its own cost."""
    rng = np.random.default_rng(error)

    def proposal(sampler: GPSampler, of_diverged: float) -> float:
        study = optuna.create_study(directions=["minimize"] * 2)
        for x, outcome, result, cost in known:
            values = [of_diverged if outcome == "diverged" else result, cost]
            study.add_trial(
                create_trial(
                    params={"x": x},
                    distributions={"x": FloatDistribution(0.0, 1.0)},
                    values=values if error == 0 else values[::-1],
                    user_attrs={OUTCOME: outcome},
                )
            )
        study.sampler = sampler
        return float(study.ask({"x": FloatDistribution(0.0, 1.0)}).params["x"])

    outcomes: list[Outcome] = ["completed", "diverged", "completed", "completed"] * 2
    known = [(rng.random(), outcome, 0.02 + 0.01 * rng.random(), rng.random()) for outcome in outcomes]
    worst = max(result for _, outcome, result, _ in known if outcome == "completed")
    ours = proposal(gp(error, has_diverged, seed=0, n_startup_trials=3), CHANCE)
    assert ours == proposal(GPSampler(seed=0, n_startup_trials=3), worst)
    assert ours != proposal(GPSampler(seed=0, n_startup_trials=3), CHANCE)
