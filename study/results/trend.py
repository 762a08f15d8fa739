"""A trend over the strength of the noise: does the error change with σ, and where is it lowest?

Works on numbers alone: a baseline's errors (seeds,), arms' errors (seeds, arms), and the arms' σ > 0. This is a
question of its own, beside the verdicts of single arms: one p value for all σ together.

Seeds are blocks. The differences d = baseline − arm of a seed, one for each σ, follow a parabola in x = log σ:

    d(x) = level of the seed + b1 (x − x̄) + b2 ((x − x̄)² − its mean over the arms)

What a seed does to its baseline and to all arms alike is in its level, and cancels in b1 and b2. Their covariance is
estimated twice: with one residual variance of all arms, df = nk − n − 2, and with one for each arm, whose degrees of
freedom are Satterthwaite's (1946). The first errs where few arms spread more than the others, the second where there
are few seeds. So there are two tests, and the larger p counts; intervals are the hull of both.

    flat:       b1 = b2 = 0, an F test
    curvature:  b2 = 0, a t test

The best σ is exp(x̄ − b1 / (2 b2)). It is given only where the improvement has a significant peak and the whole interval
lies inside the range of σ that was tried. The interval of the ratio is Fieller's (1954).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from study.results.dunnett import Floats
from study.results.rule import FEWEST_SEEDS, LEVEL, fieller
from study.results.statistics import ROUNDING, Interval

FEWEST_STRENGTHS = 3
_LEAST_SHARE = 0.1  # of the mean variance: what an arm has at least


@dataclass(frozen=True)
class Slopes:
    """An estimate of the covariance of (b1, b2), (2, 2), and its degrees of freedom."""

    covariance: Floats
    df: float

    @property
    def t(self) -> float:
        """Student's critical value."""
        return float(-special.stdtrit(self.df, LEVEL / 2))


@dataclass(frozen=True)
class Trend:
    """A parabola over log σ.

    Attributes:
        n: seeds that have the baseline and every arm.
        strengths: σ of the arms.
        p_flat: of no change with σ.
        best: σ of the lowest error, with `best_interval`; None unless the improvement has a significant peak and the
            interval lies inside the range.
        level, level_variance: mean difference over arms and seeds, and the variance of this mean; fractions of 1.
        slopes: (b1, b2).
        estimates: of their covariance.
    """

    n: int
    strengths: tuple[float, ...]
    p_flat: float
    best: float | None
    best_interval: Interval | None
    level: float
    level_variance: float
    slopes: Floats
    estimates: tuple[Slopes, ...]

    def band(self, strengths: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Mean difference at these σ, and the ends of its 95 % interval at each single σ; fractions of 1."""
        powers = _powers(np.log(np.asarray(strengths, dtype=np.float64)), np.log(self.strengths))
        middle = self.level + powers @ self.slopes
        halves = []
        for each in self.estimates:
            of_slopes = np.einsum("...i,ij,...j", powers, each.covariance, powers)
            variance = self.level_variance + of_slopes
            df = variance**2 / (self.level_variance**2 / (self.n - 1) + of_slopes**2 / each.df)
            halves.append(-special.stdtrit(df, LEVEL / 2) * np.sqrt(variance))
        half = np.maximum.reduce(halves)
        return middle, middle - half, middle + half


def trend(baseline: ArrayLike, arms: ArrayLike, strengths: Sequence[float]) -> Trend | None:
    """Fit and test a parabola over log σ.

    Args:
        baseline: errors, (seeds,), NaN where a seed has none.
        arms: errors, (seeds, arms), NaN where a seed has none. Seeds that lack an arm or the baseline are left out.
        strengths: σ of the arms, larger than 0.

    Returns:
        the trend; None with fewer than three different σ, fewer than three complete seeds, or without any spread.
    """
    sigma = np.asarray(strengths, dtype=np.float64)
    d = np.asarray(baseline, dtype=np.float64)[:, None] - np.asarray(arms, dtype=np.float64)
    d = d[np.isfinite(d).all(axis=1)]
    n, k = d.shape
    if len(set(sigma.tolist())) < FEWEST_STRENGTHS or n < FEWEST_SEEDS or (sigma <= 0).any():
        return None
    powers = _powers(np.log(sigma), np.log(sigma))
    weights: Floats = np.linalg.pinv(powers).astype(np.float64)
    centred = d - d.mean(axis=1, keepdims=True)
    slopes = weights @ centred.mean(axis=0)
    residuals = centred - powers @ slopes
    if np.abs(residuals).max() <= ROUNDING * np.abs(d).max():
        return None
    pooled = Slopes(
        weights @ weights.T * float((residuals**2).sum()) / (n * k - n - 2) / n,
        n * k - n - 2,
    )
    estimates = (pooled, _by_arm(centred, weights))
    best, interval = _best(slopes, estimates, float(np.log(sigma).mean()), (float(sigma.min()), float(sigma.max())))
    return Trend(
        n,
        tuple(sigma.tolist()),
        max(_p_flat(slopes, each) for each in estimates),
        best,
        interval,
        float(d.mean()),
        float(d.mean(axis=1).var(ddof=1)) / n,
        slopes,
        estimates,
    )


def _powers(x: Floats, of_arms: Floats) -> Floats:
    """(..., 2): linear and quadratic part, each with mean 0 over the arms."""
    away = x - of_arms.mean()
    return np.stack([away, away**2 - of_arms.var()], axis=-1)


def _by_arm(centred: Floats, weights: Floats) -> Slopes:
    """Each arm with a residual variance of its own. Centring a seed's k differences mixes these variances: what is seen
    of arm j is v_j (1 − 2/k) + (sum of all) / k²."""
    n, k = centred.shape
    seen = centred.var(axis=0, ddof=1)
    average = seen.sum() / (k - 1)
    variances = np.maximum((seen - average / k) / (1 - 2 / k), _LEAST_SHARE * average)
    covariance = weights * variances @ weights.T / n
    influence = np.einsum("pk,pq,qk->k", weights, np.linalg.inv(weights @ weights.T), weights) * variances
    return Slopes(covariance, float((n - 1) * influence.sum() ** 2 / (influence**2).sum()))


def _p_flat(slopes: Floats, estimate: Slopes) -> float:
    f = float(slopes @ np.linalg.solve(estimate.covariance, slopes)) / 2
    return float(special.fdtrc(2, estimate.df, f))


def _best(
    slopes: Floats, estimates: Sequence[Slopes], centre: float, tried: Interval
) -> tuple[float | None, Interval | None]:
    if any(slopes[1] + each.t * math.sqrt(each.covariance[1, 1]) >= 0 for each in estimates):
        return None, None  # the improvement has no significant peak
    ends = [
        fieller(
            -slopes[0] / 2,
            slopes[1],
            each.covariance[0, 0] / 4,
            each.covariance[1, 1],
            -each.covariance[0, 1] / 2,
            np.array(each.t),
        )
        for each in estimates
    ]
    low, high = centre + float(min(low for low, _ in ends)), centre + float(max(high for _, high in ends))
    if not (math.log(tried[0]) <= low and high <= math.log(tried[1])):
        return None, None
    return math.exp(centre - float(slopes[0] / (2 * slopes[1]))), (math.exp(low), math.exp(high))
