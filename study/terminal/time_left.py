"""The time that a running study still needs, estimated from the reports of its trials.

Works on epochs, their seconds, and a clock that the caller reads. Knows nothing of terminals, or of what runs the
trials. Teachers are left out, because their times do not help to estimate those of students.
"""

import heapq
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Literal

from study.config import SearchConfig, StudyConfig, TrialConfig
from study.planning import plan
from study.stages import CONFIRM, GRID, SEARCH, SEARCH_BASELINE

Group = Literal["planned", "searched"]
"""Trials that always train all their epochs, and trials that a search's scheduler may stop."""
Workload = tuple[str, int]
"""What the seconds of an epoch depend on: network and batch size."""


@dataclass(frozen=True)
class Expected:
    """A trial that has not begun: its epochs if it is not stopped, and the group in which stops are counted."""

    network: str
    batch_size: int
    epochs: int
    group: Group

    @staticmethod
    def of(trial: TrialConfig, group: Group) -> "Expected":
        return Expected(trial.network, trial.train.batch_size, trial.train.epochs, group)

    @property
    def kind(self) -> Workload:
        return self.network, self.batch_size


def expected_trials(config: StudyConfig) -> dict[str, list[Expected]]:
    """The trials of each stage after the teachers, as far as the study file determines them."""
    usual = _usual(config)
    stages: dict[str, list[Expected]] = {}
    if grid := plan.grid_trials(config):
        stages[GRID] = [Expected.of(trial, "planned") for trial in grid]
    if (search := config.search) is not None:
        # The median stops none of the first ones.
        first = min(search.startup_trials if search.scheduler == "median" else 0, search.trials)
        searched = [usual] * first + [replace(usual, group="searched")] * (search.trials - first)
        stages[SEARCH] = searched
        if config.baseline.search is not None:
            stages[SEARCH_BASELINE] = list(searched)
        seeds = config.confirmation_seeds
        baselines = set(seeds) - set(config.seed_list if config.arms else ())
        stages[CONFIRM] = [usual] * (len(seeds) * min(search.confirm.top, search.trials) + len(baselines))
    return stages


def expected_stops(search: SearchConfig, epochs: int, came: Callable[[int], int], coming: int) -> dict[int, float]:
    """Epoch: what part of the trials still to come to it a search's scheduler is likely to stop there.

    Args:
        search: it stops none before `grace_epochs`.
        epochs: that a trial has unless it is stopped.
        came: how many trials have come to an epoch so far.
        coming: how many are to begin.
    """
    if search.scheduler == "median":  # which is that of completed trials: half of all are worse, later ever more
        return {search.grace_epochs: 0.8}
    stops, rung = {}, search.grace_epochs
    while search.scheduler == "asha" and rung < epochs and coming > 0:
        # Of the first i to come to a rung as many go on as make a whole share of i, and always the best of them.
        those = range(came(rung) + 1, came(rung) + coming + 1)
        go_on = sum(max(1, i // search.reduction_factor) / i for i in those)
        stops[rung] = 1 - go_on / coming
        rung, coming = rung * search.reduction_factor, round(go_on)
    return stops


@dataclass
class _Lengths:
    """How many epochs the ended trials of a group trained, and by that how many others may expect.

    Where n trials came to an epoch and s were stopped at it, the next to come there is stopped with probability s / n
    (the estimate of Kaplan and Meier); what is expected of a scheduler counts as much as `weight` trials.
    """

    weight: float
    stopped: Counter[int] = field(default_factory=Counter)
    reached: list[int] = field(default_factory=list)  # in order

    def ends(self, epochs: int, allowed: int) -> None:
        """A trial has ended after so many epochs of those it was allowed."""
        insort(self.reached, epochs)
        if epochs < allowed:
            self.stopped[epochs] += 1

    def came(self, epoch: int, under_way: Sequence[int]) -> int:
        """How many trials have come to an epoch, given how far those are that have not ended."""
        return len(self.reached) - bisect_left(self.reached, epoch) + sum(one >= epoch for one in under_way)

    def epochs_left(
        self, part: float, done: int, allowed: int, under_way: Sequence[int], expected: Mapping[int, float]
    ) -> int:
        """After how many more epochs that part, in (0, 1), of the trials that have done so many will have ended."""
        going_on = 1.0
        for epoch in sorted(self.stopped.keys() | expected.keys()):
            if done < epoch < allowed:
                stopped = self.stopped[epoch] + self.weight * expected.get(epoch, 0)
                going_on *= 1 - stopped / (self.came(epoch, under_way) + self.weight)
                if 1 - going_on >= part:
                    return epoch - done
        return allowed - done


@dataclass
class _Live:
    """A trial that is running; `epoch` is the last one that it reported."""

    stage: str
    expected: Expected
    epoch: int | None = None


class TimeLeft:
    """Collects the reports of trials and estimates the time left. `now` is in seconds, always of the same clock.

    The remaining epochs are counted for each trial. If trials are stopped early, their number is estimated from earlier
    stops. An epoch takes the mean time of the epochs of its network. Workers take trials one after another, so the
    estimate includes a last trial during which other workers are idle. The time that workers do not train, and the time
    that a stage needs to start, are assumed to stay the same.

    Args:
        config: the study.
    """

    def __init__(self, config: StudyConfig) -> None:
        self._usual = _usual(config)
        self._waiting = expected_trials(config)
        self._search = config.search
        self._lengths: dict[Group, _Lengths] = {"planned": _Lengths(weight=0.25), "searched": _Lengths(weight=2)}
        self._live: dict[str, _Live] = {}
        self._begun: set[str] = set()
        self._seconds: defaultdict[Workload, float] = defaultdict(float)
        self._epochs: Counter[Workload] = Counter()
        self._workers = 1
        self._stage_began = 0.0
        self._heard: float | None = None  # when the last report came, in a stage that has begun to train
        self._occupied = 0.0  # worker-seconds since then
        self._starts: list[float] = []  # seconds from a stage's beginning to its first epoch's

    def stage_begins(self, name: str, total: int, done: int, workers: int, now: float) -> None:
        """`done` of `total` trials were finished before."""
        waiting = self._waiting.get(name) or [self._usual]
        self._waiting[name] = [*waiting[:total], *[waiting[-1]] * (total - len(waiting))][done:]
        self._begun.add(name)
        self._workers, self._stage_began, self._heard = max(workers, 1), now, None

    def trial_begins(self, name: str, trial_id: str, trial: TrialConfig, now: float) -> None:
        """A worker takes a trial of a stage that has begun, perhaps not for the first time."""
        self._pass_time(now)
        waiting = self._waiting[name]
        if trial_id in self._live or not waiting:
            return
        alike = (n for n, each in enumerate(waiting) if Expected.of(trial, each.group) == each)
        self._live[trial_id] = _Live(name, Expected.of(trial, waiting.pop(next(alike, 0)).group))

    def epochs_pass(self, trial_id: str, epochs: Sequence[tuple[int, float]], now: float) -> None:
        """Epochs of a trial, each with its seconds; they may come twice.

        Of a trial's first report, only the last epoch counts: the others may be from before a resume.
        """
        live = self._live.get(trial_id)
        if live is None or not epochs:
            return
        new = epochs[-1:] if live.epoch is None else [epoch for epoch in epochs if epoch[0] > (live.epoch or 0)]
        if self._heard is None and new:
            self._heard = max(self._stage_began, now - new[-1][1])
            self._starts.append(self._heard - self._stage_began)
        self._pass_time(now)
        for number, seconds in new:
            live.epoch = number
            self._epochs[live.expected.kind] += 1
            self._seconds[live.expected.kind] += seconds

    def trial_ends(self, trial_id: str, epochs: int, now: float) -> None:
        """A trial is over after so many epochs, by itself or stopped."""
        self._pass_time(now)
        live = self._live.pop(trial_id, None)
        if live is not None:
            self._lengths[live.expected.group].ends(epochs, live.expected.epochs)

    def epochs_per_second(self) -> float | None:
        """Of all workers together, while they train; None before the first epoch."""
        seconds = sum(self._seconds.values())
        if not seconds:
            return None
        return self._epochs.total() / seconds * self._efficiency() * max(1, min(self._workers, len(self._live)))

    def seconds(self) -> float | None:
        """Until the last trial ends; None before there is anything to go by."""
        if not self._epochs:
            return None
        far: dict[Group, list[int]] = {group: [] for group in self._lengths}
        for live in self._live.values():
            far[live.expected.group].append(live.epoch or 0)
        stops: dict[Group, dict[int, float]] = {"planned": {}, "searched": {}}
        if self._search is not None:
            searched = [each for name in self._waiting for each in self._waiting[name] if each.group == "searched"]
            came = partial(self._lengths["searched"].came, under_way=far["searched"])
            stops["searched"] = expected_stops(self._search, self._usual.epochs, came, len(searched))

        parts = _spread()

        def left_of(trial: Expected, done: int = 0) -> float:
            lengths = self._lengths[trial.group]
            epochs = lengths.epochs_left(next(parts), done, trial.epochs, far[trial.group], stops[trial.group])
            return epochs * self._pace(trial.kind) / self._efficiency()

        total = 0.0
        for name, waiting in self._waiting.items():
            under_way = [left_of(live.expected, live.epoch or 0) for live in self._live.values() if live.stage == name]
            total += _last_end(self._workers, under_way, map(left_of, waiting))
            if waiting and name not in self._begun:
                total += sum(self._starts) / len(self._starts)
        return total

    def _pass_time(self, now: float) -> None:
        if self._heard is not None:
            self._occupied += (now - self._heard) * len(self._live)
            self._heard = now

    def _efficiency(self) -> float:
        """The part of a worker's time that is training."""
        trained = sum(self._seconds.values())
        return min(1.0, trained / self._occupied) if self._occupied > 0 and trained > 0 else 1.0

    def _pace(self, kind: Workload) -> float:
        """Seconds of an epoch; where there was none of its kind, as they were on average."""
        if self._epochs[kind]:
            return self._seconds[kind] / self._epochs[kind]
        return sum(self._seconds.values()) / self._epochs.total()


def _usual(config: StudyConfig) -> Expected:
    return Expected(config.student.network, config.train.batch_size, config.train.epochs, "planned")


def _last_end(workers: int, under_way: Sequence[float], waiting: Iterable[float]) -> float:
    """When the last trial ends, if each worker takes the next one as soon as it is free."""
    free = [*under_way, *[0.0] * (workers - len(under_way))]
    heapq.heapify(free)
    for seconds in waiting:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _spread() -> Iterator[float]:
    """Numbers in (0, 1), any first few of them evenly spread (van der Corput's): trials are not all as long as the mean
    one, and the longest of the last ones decides when a stage ends."""
    for number in count(1):
        yield sum(int(bit) / 2**place for place, bit in enumerate(reversed(f"{number:b}"), 1))
