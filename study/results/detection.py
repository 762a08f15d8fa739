"""What a study can detect: the power of the rule, by simulation of the rule itself.

Works on numbers alone: seeds, families and spreads. The unit of an effect is the spread of a difference, that is the
standard deviation over seeds of (baseline error − arm error). Knows nothing of tables, trainings or MLflow.

An arm that is better by δ is found where its mean difference exceeds the half width of its interval. Its spread does
not depend on δ, so one simulation without any effect gives the power for every δ: the share of (half width − mean
difference) that lies below δ. The generator has a fixed seed, so the same question has the same answer.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import special

from study.results.dunnett import Floats
from study.results.rule import FEWEST_SEEDS, Family, contrasts, half_widths
from study.results.statistics import Interval

POWER = 0.8
"""The chance with which an effect is to be found."""

CONFIDENCE = 0.8
"""Of each limit of a spread: few seeds know it badly. Three seeds of ten arms know it to about a third."""

MOST_SEEDS = 200
_STUDIES = 2000
_MOST_ARMS = 20  # in a simulated study; more arms give hardly more information on the spread


def power(effect: float, seeds: int, family: Family) -> float:
    """The chance to find an arm that is better by `effect` spreads; 0 with fewer seeds than a verdict needs."""
    margins = _margins(seeds, family)
    return float(np.searchsorted(margins, effect)) / len(margins) if len(margins) else 0.0


def detectable(seeds: int, family: Family) -> float:
    """The smallest effect, in spreads, that is found with a chance of 80 %; infinite with too few seeds."""
    margins = _margins(seeds, family)
    return float(np.quantile(margins, POWER)) if len(margins) else math.inf


def seeds_needed(effect: float, family: Family) -> int | None:
    """The fewest seeds that find an effect of so many spreads with a chance of 80 %; None beyond `MOST_SEEDS`."""
    if detectable(MOST_SEEDS, family) > effect:
        return None
    low, high = FEWEST_SEEDS - 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(middle, family) <= effect else (middle, high)
    return high


def spread_limits(variance: float, df: float) -> Interval:
    """Lower and upper 80 % limit of the standard deviation that a variance of so many degrees of freedom comes from."""
    low = math.sqrt(variance * df / (2 * special.gammaincinv(df / 2, CONFIDENCE)))
    high = math.sqrt(variance * df / (2 * special.gammaincinv(df / 2, 1 - CONFIDENCE)))
    return low, high


@lru_cache(maxsize=512)
def _margins(seeds: int, family: Family) -> Floats:
    """Half width − mean difference of arms without an effect, in spreads, ascending."""
    if seeds < FEWEST_SEEDS:
        return np.array([])
    arms = min(family.planned, _MOST_ARMS)
    rng = np.random.default_rng([seeds, family.planned])
    errors = rng.normal(0, math.sqrt(0.5), (_STUDIES, seeds, 1 + arms))
    found = contrasts(errors[..., 0], errors[..., 1:])
    return np.sort((half_widths(found, family) - found.difference).ravel())
