"""The time left that a study tells is right within a quarter of it, once a quarter of the study is over.

Trials of a study file take their epochs on a clock that is only counted, on workers that take them one after another;
what is stopped early is stopped by the pruner of the real search. Where chance decides how long trials are, the first
quarter of a study cannot tell how long the others will be: there the claim is about most studies and not each.
"""

import heapq
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import pytest
import yaml

from study.config import ArmConfig, StudyConfig, TrialConfig, parse_study
from study.planning import plan
from study.running.samplers import make_pruner
from study.terminal.time_left import TimeLeft, expected_trials

optuna.logging.set_verbosity(optuna.logging.WARNING)

STAGE_START, TRIAL_START = 3.0, 0.3
"""Seconds, as Ray's actors take them on a quiet machine."""


def study(**keys: Any) -> StudyConfig:
    base: dict[str, Any] = {
        "name": "simulated",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn"}],
        "student": {"network": "digits-fc32"},
        "train": {"epochs": 20},
        "arms": [{"method": "noisy_teacher", "sigma": [0.1, 0.3, 0.5, 0.8, 1.0]}],
        "seeds": [0, 1, 2],
    }
    return parse_study(yaml.safe_dump({**base, **keys}), "a test")


@dataclass(frozen=True)
class Told:
    """What was told when, in seconds since the students began."""

    now: float
    left: float


class Simulation:
    """A study on a counted clock.

    Args:
        config: the study.
        workers: trials at once.
        seconds: of one epoch, before it varies by a fifth.
        epochs: of a trial that ends by itself; all it may have where this is None.
        seed: of what is left to chance.
    """

    def __init__(
        self,
        config: StudyConfig,
        workers: int,
        seconds: Callable[[TrialConfig], float] = lambda _: 2.0,
        epochs: Callable[[random.Random], int] | None = None,
        seed: int = 0,
    ) -> None:
        self.config, self.workers, self.seconds, self.epochs = config, workers, seconds, epochs
        self.random = random.Random(seed)
        self.left = TimeLeft(config)
        self.now = 0.0
        self.told: list[Told] = []

    def run(self) -> "Simulation":
        arm = ArmConfig.model_validate({"method": "noisy_teacher", "sigma": 0.5})
        (searched,) = plan.expand(self.config, arm, "search", "arm", [99])
        for name, trials in expected_trials(self.config).items():
            self._stage(name, plan.grid_trials(self.config) if name == "grid" else [searched] * len(trials))
        return self

    def _stage(self, name: str, trials: Sequence[TrialConfig]) -> None:
        self.left.stage_begins(name, len(trials), 0, self.workers, self.now)
        pruned = optuna.create_study(pruner=self._pruner()) if name.startswith("search") else None
        waiting = list(enumerate(trials))
        events: list[tuple[float, int, Iterator[tuple[int, float, bool]]]] = []

        def begin(at: float) -> None:
            number, trial = waiting.pop(0)
            self.left.trial_begins(name, f"{name}-{number}", trial, at)
            epochs = self._epochs(trial, pruned)
            heapq.heappush(events, (at + TRIAL_START, number, epochs))

        for _ in range(min(self.workers, len(waiting))):
            begin(self.now)
        ready = self.now + STAGE_START
        under_way: dict[int, tuple[int, float, bool]] = {}
        while events:
            at, number, epochs = heapq.heappop(events)
            self.now = max(at, ready)
            if number in under_way:
                epoch, seconds, is_last = under_way.pop(number)
                self.left.epochs_pass(f"{name}-{number}", [(epoch, seconds)], self.now)
                if is_last:
                    self.left.trial_ends(f"{name}-{number}", epoch, self.now)
                left = self.left.seconds()
                assert left is not None
                self.told.append(Told(self.now, left))
                if is_last:
                    if waiting:
                        begin(self.now)
                    continue
            under_way[number] = coming = next(epochs)
            heapq.heappush(events, (self.now + coming[1], number, epochs))

    def _pruner(self) -> optuna.pruners.BasePruner:
        assert self.config.search is not None
        return make_pruner(self.config.search)

    def _epochs(self, trial: TrialConfig, pruned: optuna.Study | None) -> Iterator[tuple[int, float, bool]]:
        """Epoch, seconds, whether it is the trial's last."""
        last = trial.train.epochs if self.epochs is None else self.epochs(self.random)
        asked = pruned.ask() if pruned is not None else None
        floor, rate = self.random.uniform(0.05, 0.3), self.random.uniform(0.1, 0.5)
        for epoch in range(1, last + 1):
            seconds = self.seconds(trial) * self.random.uniform(0.8, 1.2)
            stopped = False
            if asked is not None:
                asked.report(floor + math.exp(-rate * epoch) + self.random.gauss(0, 0.005), epoch)
                stopped = asked.should_prune()
            ends = stopped or epoch == last
            if ends and pruned is not None and asked is not None:
                state = optuna.trial.TrialState.PRUNED if stopped else optuna.trial.TrialState.COMPLETE
                pruned.tell(asked, None if stopped else floor, state=state)
            yield epoch, seconds, ends

    def wrong_by(self, part: float) -> float:
        """How far what was told after a part of the study was from what came, as a part of what came."""
        end = self.told[-1].now
        told = next(told for told in self.told if told.now >= part * end)
        return told.left / (end - told.now) - 1


PARTS = (0.25, 0.5, 0.75)
SEARCH = {"space": "sigma_alpha", "trials": 40, "confirm": {"top": 2}}
SEARCHED_LR = {"train": {"lr": {"log_uniform": [0.001, 0.1]}}}
TABLE_1 = [{"method": "noisy_teacher", "sigma": [round(0.1 * step, 1) for step in range(1, 11)]}]
COSTS = {"digits-fc32": 1.0, "[C3(S1P1)@4-MP2(S2)]-FC10": 3.0, "[C3(S1P1)@16-MP2(S2)]-FC64-FC10": 9.0}
UNEQUAL = [{"method": "noisy_teacher", "sigma": [0.3, 0.6], "student": {"network": list(COSTS)}}]
LONG_AND_SHORT = [{"method": "noisy_teacher", "sigma": [0.3, 0.6, 0.9], "train": {"epochs": [10, 60]}}]


@pytest.mark.parametrize("workers", [1, 2, 6])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"arms": UNEQUAL},
        {"arms": LONG_AND_SHORT},
        {"search": SEARCH},
        {"search": SEARCH, "arms": []},
        {"search": SEARCH | SEARCHED_LR, "arms": [], "baseline": {"method": "logit_regression", "search": "equal"}},
    ],
    ids=["grid", "unequal-students", "unequal-epochs", "grid-and-search", "search", "searched-baseline"],
)
def test_the_time_left_is_right_within_a_quarter(keys: dict[str, Any], workers: int) -> None:
    simulation = Simulation(study(**keys), workers, lambda trial: COSTS[trial.network]).run()
    assert all(abs(simulation.wrong_by(part)) < 0.25 for part in PARTS), [simulation.wrong_by(part) for part in PARTS]


@pytest.mark.parametrize("workers", [1, 2, 6])
@pytest.mark.parametrize(
    ("keys", "epochs"),
    [
        ({"arms": TABLE_1, "train": {"epochs": 60, "patience": 10}}, lambda chance: chance.randint(15, 35)),
        ({"search": {**SEARCH, "scheduler": "asha", "reduction_factor": 3}, "train": {"epochs": 27}}, None),
        ({"search": {**SEARCH, "scheduler": "median"}}, None),
    ],
    ids=["patience", "asha", "median"],
)
def test_it_mostly_is_where_trials_are_stopped_early(
    keys: dict[str, Any], epochs: Callable[[random.Random], int] | None, workers: int
) -> None:
    simulations = [Simulation(study(**keys), workers, epochs=epochs, seed=seed).run() for seed in range(5)]
    wrong = [abs(simulation.wrong_by(part)) for simulation in simulations for part in PARTS]
    assert sum(each < 0.25 for each in wrong) > 0.6 * len(wrong), wrong


def test_before_the_first_epoch_nothing_is_told() -> None:
    left = TimeLeft(study())
    assert left.seconds() is None
    assert left.epochs_per_second() is None
    left.stage_begins("grid", 18, 0, 2, now=5.0)
    assert left.seconds() is None


def test_resumed_epochs_do_not_count_for_the_pace() -> None:
    """Epochs of an earlier start are neither left to do nor part of the pace."""
    left = TimeLeft(study())
    trials = plan.grid_trials(left_config := study())
    left.stage_begins("grid", len(trials), 16, 1, now=0.0)
    left.trial_begins("grid", "grid-0016", trials[16], now=0.0)
    # 19 epochs come again from the checkpoint; one was trained now, in two seconds.
    left.epochs_pass("grid-0016", [(epoch, 2.0) for epoch in range(1, 20)], now=2.0)
    assert left.epochs_per_second() == pytest.approx(0.5)
    assert left.seconds() == pytest.approx(2.0 * (1 + left_config.train.epochs))


def test_an_epoch_that_is_told_twice_counts_once() -> None:
    left = TimeLeft(study())
    trials = plan.grid_trials(study())
    left.stage_begins("grid", len(trials), 0, 1, now=0.0)
    left.trial_begins("grid", "grid-0000", trials[0], now=0.0)
    for now in (2.0, 2.0):
        left.epochs_pass("grid-0000", [(1, 2.0)], now=now)
    assert left.seconds() == pytest.approx(2.0 * (20 * len(trials) - 1))
