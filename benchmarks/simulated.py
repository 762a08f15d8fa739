"""Simulated studies: errors of a baseline and ten arms over seeds, with an improvement that is known.

An error is base × (1 − improvement) × (1 + what the seed does to all + what is left). Knows nothing of the rule that
judges them, nor of training.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from study.results.dunnett import Floats

STUDIES = 2000
"""Simulated studies of one line of a page."""

ARMS = 10


@dataclass(frozen=True)
class Kind:
    """A kind of data set.

    Attributes:
        spread: standard deviation of an error over seeds / mean error.
        correlation: of the errors of two arms over the seeds.
        improvement: of the arms that are better, as a fraction of 1.
        collapsed: error of a collapsed training / mean error.
        promised: the least power, by number of seeds.
    """

    name: str
    spread: float
    correlation: float
    improvement: float
    collapsed: float
    promised: Mapping[int, float]


KINDS = (
    Kind("like MNIST", 0.05, 0.1, 0.10, 75.0, {5: 0.45}),
    Kind("like CIFAR-10", 0.02, 0.7, 0.05, 4.5, {3: 0.65}),
)

Draw = Callable[[np.random.Generator, int, int], Floats]
"""Gives what is left of each training, (studies, seeds, 1 + arms), of about mean 0 and spread 1; the baseline first."""


def _normal(factors: Iterable[float]) -> Draw:
    spreads = np.array(list(factors))
    return lambda rng, studies, seeds: rng.normal(0, 1, (studies, seeds, 1 + ARMS)) * spreads


def _one_to_three(rng: np.random.Generator, studies: int, seeds: int) -> Floats:
    factors = np.exp(rng.uniform(0, math.log(3), (studies, 1, 1 + ARMS)))
    return rng.normal(0, 1, (studies, seeds, 1 + ARMS)) * factors


def _skewed(rng: np.random.Generator, studies: int, seeds: int) -> Floats:
    return rng.exponential(1, (studies, seeds, 1 + ARMS)) - 1


COLLAPSED = "one training in 30 collapses"
WORLDS: Mapping[str, Draw] = {
    "equal spreads": _normal([1.0] * (1 + ARMS)),
    "spreads of 1 to 3 times": _one_to_three,
    "one arm at 4 times the spread": _normal([1.0] * ARMS + [4.0]),
    "the baseline at 3 times the spread": _normal([3.0] + [1.0] * ARMS),
    "skewed: now and then a bad training": _skewed,
    "spread grows with σ, to 4 times": _normal([1.0, *(1 + 3 * np.linspace(0.1, 1, ARMS))]),
    COLLAPSED: _normal([1.0] * (1 + ARMS)),
}


def errors(kind: Kind, world: str, improvements: Floats, studies: int, seeds: int) -> Floats:
    """Errors / mean error of the baseline, (studies, seeds, 1 + arms)."""
    rng = np.random.default_rng([*kind.name.encode(), *world.encode(), seeds, int(1000 * improvements.sum())])
    shared = kind.spread * math.sqrt(kind.correlation) * rng.normal(0, 1, (studies, seeds, 1))
    own = kind.spread * math.sqrt(1 - kind.correlation) * WORLDS[world](rng, studies, seeds)
    drawn = 1 + shared + own
    if world == COLLAPSED:
        drawn = np.where(rng.uniform(size=drawn.shape) < 1 / 30, kind.collapsed, drawn)
    return np.asarray(drawn * (1 - np.append(0, improvements)))


def half_better(kind: Kind) -> Floats:
    """Improvements of the arms, (arms,): every other arm is better."""
    return np.where(np.arange(ARMS) % 2 == 0, kind.improvement, 0)
