"""Every point of a grid over a define-by-run space, and the points at its edges.

Works on any function of an Optuna trial. A space is not a list of parameters: its parameters are known only by running
it, and may depend on the values of others. So it is run once for each point, by a trial that takes the first value of
each new parameter and records the other values. Knows nothing of studies, or of what the space returns.
"""

import heapq
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import TrialPruned
from optuna.trial import BaseTrial, FixedTrial

from study.config import MAX_TRIALS
from study.errors import UserError

T = TypeVar("T")

MAX_EDGE_POINTS = 1000
"""Most points at the edges of a space, so that a list of thousands of choices does not delay a study for minutes."""

Path = tuple[int, ...]
"""Which value each parameter takes, as an index, in the order in which the space asks for them."""


def grid_points(space: Callable[[BaseTrial], object], points: int) -> list[dict[str, Any]]:
    """The parameters of every point of a grid, as `optuna.Study.enqueue_trial` takes them.

    A float takes `points` evenly spaced values from its low to its high end, both included. They are spaced evenly in
    the logarithm if the parameter has `log=True`, and are rounded to its steps if it has steps. An integer takes at
    most `points` values in the same way, and a categorical parameter takes all its choices. With `points` = 1 a number
    takes the middle of its range. If there are fewer different values than `points`, each is taken once. A parameter
    that depends on others is part of the points for which the space asks for it.

    Args:
        space: with the same values it must ask for the same parameters. A point for which it raises
            `optuna.TrialPruned` is left out.
        points: 1 to `MAX_TRIALS`.

    Returns:
        the points, the last parameter changing fastest; all different.

    Raises:
        UserError: the grid has more than `MAX_TRIALS` points, the space asks for other parameters when it is run
            again, or a choice has a type that a journal cannot store.
    """
    if not 1 <= points <= MAX_TRIALS:
        raise UserError(f"search.grid_points: 1 to {MAX_TRIALS} values are possible, not {points}")
    found: dict[Path, dict[str, Any]] = {}
    # The beginnings of points that were not run yet; each has at least one point. Short ones come first, because they
    # lead to the most other points. So a grid that is too large is found early.
    waiting: list[tuple[int, Path]] = [(0, ())]
    while waiting:
        _, beginning = heapq.heappop(waiting)
        trial = _GridTrial(beginning, points, room=MAX_TRIALS - len(found) - len(waiting) - 1)
        is_rejected = _rejects(space, trial)
        path = tuple(trial.path)
        if path[: len(beginning)] != beginning:
            raise _other_parameters()
        if not is_rejected:
            found[path] = trial.params
        for depth in range(len(beginning), len(path)):
            for index in range(1, trial.sizes[depth]):
                heapq.heappush(waiting, (depth + 1, (*path[:depth], index)))
    return [found[path] for path in sorted(found)]


def edge_points(space: Callable[[BaseTrial], object]) -> list[dict[str, Any]]:
    """Points that together have the low and the high end of every number, and every choice, at least once.

    One of them has the low end or the first choice of every parameter, another one the high end or the last choice. If
    a space or its study refuses a value, it refuses one of these points, unless the refusal depends on several
    parameters.

    Args:
        space: as `grid_points`; it is run once for each point. Rejected points are left out.

    Returns:
        the points, at most `MAX_EDGE_POINTS`. Some of them may be equal.

    Raises:
        UserError: as `grid_points`. Errors of the space are not caught.
    """
    found: list[dict[str, Any]] = []
    seen: set[tuple[str, int]] = set()
    waiting: deque[Path] = deque([()])
    is_last, tried = True, 0
    while waiting and tried < MAX_EDGE_POINTS:
        beginning = waiting[0] if is_last else waiting.popleft()
        trial = _GridTrial(beginning, points=2, room=sys.maxsize, takes_last=is_last)
        is_last, tried = False, tried + 1
        if not _rejects(space, trial):
            found.append(trial.params)
        seen.update(zip(trial.names, trial.path, strict=True))
        for depth, (name, size) in enumerate(zip(trial.names, trial.sizes, strict=True)):
            for index in range(size):
                if (name, index) not in seen:
                    seen.add((name, index))
                    waiting.append((*trial.path[:depth], index))
    return found


def _rejects(space: Callable[[BaseTrial], object], trial: BaseTrial) -> bool:
    """Run a space. Returns whether it rejects the point of this trial."""
    try:
        space(trial)
    except TrialPruned:
        return True
    return False


class _GridTrial(FixedTrial):
    """Takes the values that the beginning of a path names, and for later parameters the first or the last value.

    Attributes:
        names: the parameters, in the order in which the space suggests them.
        path: the index of the value each parameter took.
        sizes: how many values each parameter has.
    """

    def __init__(self, beginning: Path, points: int, room: int, takes_last: bool = False) -> None:
        self._values: dict[str, Any] = {}
        super().__init__(self._values)  # FixedTrial keeps this dictionary, and reads the values that are added later
        self._beginning, self._points, self._room, self._takes_last = beginning, points, room, takes_last
        self.names: list[str] = []
        self.path: list[int] = []
        self.sizes: list[int] = []

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self._choose(name, _floats(FloatDistribution(low, high, log=log, step=step), self._points))
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self._choose(name, _integers(IntDistribution(low, high, log=log, step=step), self._points))
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._choose(name, _choices(name, CategoricalDistribution(choices)))
        return super().suggest_categorical(name, choices)

    def _choose(self, name: str, values: Sequence[Any]) -> None:
        if name in self._values:  # suggested twice: it keeps its value
            return
        depth = len(self.path)
        index = self._beginning[depth] if depth < len(self._beginning) else (len(values) - 1) * self._takes_last
        if index >= len(values):
            raise _other_parameters()
        if depth >= len(self._beginning):
            self._room -= len(values) - 1
            if self._room < 0:
                raise UserError(
                    f"search.grid_points: with {self._points} values of every number the grid of this space has more "
                    f"than {MAX_TRIALS} points; use fewer values, or another sampler"
                )
        self._values[name] = values[index]
        self.names.append(name)
        self.path.append(index)
        self.sizes.append(len(values))


@lru_cache  # a space is run for every point, with the same ranges each time
def _floats(distribution: FloatDistribution, points: int) -> tuple[float, ...]:
    low, high = distribution.low, distribution.high
    if distribution.step is None:
        return _distinct(_between(low, high, share, distribution.log) for share in _shares(points))
    # In decimals, as Optuna computes steps, so that 0.1 plus two steps of 0.1 is 0.3.
    first, last, step = Decimal(str(low)), Decimal(str(high)), Decimal(str(distribution.step))
    steps = int(((last - first) / step).to_integral_value())
    return _distinct(float(first + step * position) for position in _positions(steps, points))


@lru_cache
def _integers(distribution: IntDistribution, points: int) -> tuple[int, ...]:
    low, high = distribution.low, distribution.high
    if distribution.log and high - low >= points:
        return _distinct(round(_between(low, high, share, log=True)) for share in _shares(points))
    steps = (high - low) // distribution.step
    return _distinct(low + distribution.step * position for position in _positions(steps, points))


def _choices(name: str, distribution: CategoricalDistribution) -> tuple[Any, ...]:
    for choice in distribution.choices:
        if choice is not None and not isinstance(choice, bool | int | float | str):
            raise UserError(
                f"search.space: parameter {name} has a choice of type {type(choice).__name__}; "
                "a choice is None, a boolean, a number or a text"
            )
    return _distinct(distribution.choices)


def _shares(points: int) -> list[float]:
    """The positions of the values, from the low end (0) to the high end (1)."""
    return [0.5] if points == 1 else [position / (points - 1) for position in range(points)]


def _positions(steps: int, points: int) -> list[int]:
    """Whole numbers from 0 to `steps`, evenly spaced. Computed with integers, because `steps` can be very large."""
    gaps = points - 1
    return [(2 * position * steps + gaps) // (2 * gaps) for position in range(points)] if gaps else [steps // 2]


def _between(low: float, high: float, share: float, log: bool) -> float:
    if share in (0, 1):
        return high if share else low
    value = (
        10 ** (math.log10(low) * (1 - share) + math.log10(high) * share) if log else low * (1 - share) + high * share
    )
    return min(max(value, low), high)  # rounding can move the value out of the range


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    """The values without repetitions. For Optuna 1, 1.0 and True are equal, too."""
    return tuple(dict.fromkeys(values))


def _other_parameters() -> UserError:
    return UserError(
        "search.space: with the same values the space asks for other parameters in a second call; for a grid it must "
        "depend only on the values that its trial suggests"
    )
