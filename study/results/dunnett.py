"""Dunnett's distribution: the largest of several t statistics that share one baseline.

Works on numbers alone. T_j = Z_j / S for arms j = 1 … m: every Z_j is standard normal, every two of them have the same
correlation, and S = √(χ²_df / df) is the same for all (Dunnett, "A multiple comparison procedure for comparing several
treatments with a control", 1955). Given what the arms share, the Z_j are independent, which leaves two integrals of
one dimension, one inside the other: over the shared part, then over S. Both are sums over fixed points, so that the
same numbers give the same p value, to the bit, on every call.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, optimize, special

Floats = NDArray[np.float64]

BASELINE_SHARE = 0.5
"""Correlation of two differences from one baseline, where the baseline and the arms spread alike."""

_TAIL = 1e-16  # of S: what is left out on either side
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_SHARED = 8.5 * _NODES
_SHARED_WEIGHTS = 8.5 * _WEIGHTS * np.exp(-(_SHARED**2) / 2) / math.sqrt(2 * math.pi)
_MOST = 9.5  # no |Z_j| is larger
_STEPS = 160
_FEWEST_DF, _MOST_DF, _SPLINE_POINTS = 1.0, 1e6, 80


def p_of_largest(t: float, df: float, arms: int, correlation: float = BASELINE_SHARE) -> float:
    """The chance that the largest |T_j| is at least |t|, if no arm differs from the baseline.

    Args:
        t: a t statistic.
        df: degrees of freedom of the spread, at least 1, not necessarily whole.
        arms: how many there are, at least 1. With one arm this is the two-sided p value of Student's t.
        correlation: of every two Z_j, in [0, 1).

    Returns:
        the chance, in [0, 1], with an absolute error below 1e-8.
    """
    if arms == 1:
        return float(2 * special.stdtr(df, -abs(t)))
    spread, weights = _spread_points(df)
    below = float(weights @ _all_below(arms, correlation)(np.minimum(abs(t) * spread, _MOST)))
    return min(max(1 - below, 0.0), 1.0)


@lru_cache(maxsize=4096)
def critical_t(level: float, df: float, arms: int, correlation: float = BASELINE_SHARE) -> float:
    """The value that the largest |T_j| exceeds with the chance `level`; arguments as in `p_of_largest`."""
    single = float(-special.stdtrit(df, level / 2))
    if arms == 1:
        return single
    bonferroni = float(-special.stdtrit(df, level / arms / 2))
    return float(
        optimize.brentq(
            lambda t: p_of_largest(t, df, arms, correlation) - level, single * 0.999, bonferroni * 1.001, xtol=1e-12
        )
    )


def critical_ts(level: float, df: ArrayLike, arms: int, correlation: float = BASELINE_SHARE) -> Floats:
    """`critical_t` of many degrees of freedom at once, for simulations: a spline through 80 of them.

    Returns:
        critical values in the shape of `df`, with a relative error below 1e-6.
    """
    df = np.asarray(df, dtype=np.float64)
    if df.size <= _SPLINE_POINTS:
        return np.array([critical_t(level, float(each), arms, correlation) for each in df.flat]).reshape(df.shape)
    return np.exp(_spline(level, arms, correlation)(1 / np.clip(df, _FEWEST_DF, _MOST_DF)))


@lru_cache(maxsize=256)
def _spline(level: float, arms: int, correlation: float) -> interpolate.CubicSpline:
    """The logarithm of the critical value by 1 / df: nearly a straight line."""
    inverse = np.linspace(1 / _FEWEST_DF, 1 / _MOST_DF, _SPLINE_POINTS)
    values = [math.log(critical_t(level, float(1 / each), arms, correlation)) for each in inverse]
    return interpolate.CubicSpline(inverse[::-1], values[::-1])


@lru_cache(maxsize=256)
def _all_below(arms: int, correlation: float) -> interpolate.CubicSpline:
    """P(all |Z_j| < x) as a function of x in [0, 9.5]: the integral over the part that the arms share."""
    x = np.linspace(0, _MOST, 1000)
    own = math.sqrt(1 - correlation)
    shared = math.sqrt(correlation) * _SHARED[:, None]
    inside = special.ndtr((shared + x) / own) - special.ndtr((shared - x) / own)
    return interpolate.CubicSpline(x, _SHARED_WEIGHTS @ inside**arms)


@lru_cache(maxsize=1024)
def _spread_points(df: float) -> tuple[Floats, Floats]:
    """Values of S and their weights, for a sum over equal steps of log S (which converges faster than any power)."""
    low = math.log(2 * special.gammaincinv(df / 2, _TAIL) / df) / 2
    high = math.log(2 * special.gammainccinv(df / 2, _TAIL) / df) / 2
    logs = np.linspace(low, high, _STEPS)
    densities = df * logs - df * np.exp(2 * logs) / 2
    weights = np.exp(densities - densities.max())
    return np.exp(logs), weights / weights.sum()
