"""How the level of a study is divided over its looks (Lan and DeMets, 1983).

Works on numbers alone. A study that looks at its results several times would err more often than a study that looks
once. So each look has a level of its own, which is smaller. Up to a look with n of N seeds, the chance of a false
verdict may be

    α ln(1 + (e − 1) n / N)

This is the spending function of Lan and DeMets that is like the equal levels of Pocock (1977). The levels are those of
a two-sided z-test of one arm that is never dropped, whose sums over seeds are normal with independent increments.

Levels whose sum is α hold whatever the looks have in common, but they are smaller, and less is found with more
trainings. `python -m benchmarks.sequential` measures both, and how often the looks of the rule err: docs/statistics.md.

References: Lan and DeMets, "Discrete sequential boundaries for clinical trials", 1983; Pocock, "Group sequential
methods in the design and analysis of clinical trials", 1977; Armitage, McPherson and Rowe, "Repeated significance tests
on accumulating data", 1969 (the recursion).
"""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from study.results.dunnett import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def spent(share: float) -> float:
    """The part of the level that may be spent at a share of all seeds; both in [0, 1]."""
    return math.log1p((math.e - 1) * share)


@lru_cache(maxsize=256)
def levels(rounds: tuple[int, ...], level: float) -> tuple[float, ...]:
    """The level of each look.

    Args:
        rounds: seeds at each look, ascending.
        level: of the whole study, in (0, 1).

    Returns:
        one level for each look, in (0, `level`]. One look has the whole level. The sum is larger than `level`, because
        looks at nearly the same seeds nearly agree.

    Raises:
        ValueError: no rounds, or they do not ascend from 1.
    """
    if not rounds or any(later <= earlier for earlier, later in zip((0, *rounds), rounds, strict=False)):
        raise ValueError(f"rounds of {rounds} seeds; expected at least one, ascending, from 1")
    # The sum over seeds at a look that did not reject: its values and their probabilities.
    sums, masses = np.zeros(1), np.ones(1)
    found, before, seeds_before = [], 0.0, 0
    for seeds in rounds:
        step, target = math.sqrt(seeds - seeds_before), level * spent(seeds / rounds[-1])
        limit = optimize.brentq(
            lambda limit, *state: _beyond(limit, *state) - (target - before),  # noqa: B023 - used in this round only
            0,
            40 * math.sqrt(seeds),
            args=(sums, masses, step),
            xtol=1e-13,
        )
        found.append(float(2 * special.ndtr(-limit / math.sqrt(seeds))))
        inside = limit * _NODES
        densities = np.exp(-(((inside[:, None] - sums) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        sums, masses = inside, limit * _WEIGHTS * (densities @ masses)
        before, seeds_before = target, seeds
    return tuple(found)


def _beyond(limit: float, sums: Floats, masses: Floats, step: float) -> float:
    """The chance that a sum, one normal step of this standard deviation later, is not within ± `limit`."""
    outside = special.ndtr((sums - limit) / step) + special.ndtr((-limit - sums) / step)
    return float(masses @ outside)
