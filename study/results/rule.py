"""The rule `guarded-dunnett`: which arms differ from their baseline, and by how much.

Works on test errors alone: a baseline's of shape (seeds,) and its arms' of shape (seeds, arms), with NaN where a seed
has none. Knows nothing of studies, tables or MLflow. Every function up to `judge` takes leading axes as well, so that
a simulation judges thousands of studies at once with the functions that judge a real one.

Seeds are blocks: all that is used of an arm are its differences d = baseline − arm, seed by seed. n seeds make a poor
estimate of a spread, and the arms of one baseline spread alike, more or less. So all arms give one estimate:

    V̄ = mean of the variances v_j of the differences of arm j, weighted by n_j − 1
    ρ̂ = mean correlation of the differences of two arms, at least 0.5 and at most 0.99
    df = (n − 1) k / (1 + (k − 1) ρ̂²)      k arms; what V̄ is worth, after Satterthwaite (1946)

The arms share a baseline and are many: c is the critical value of the largest of all planned |t| at these degrees of
freedom (Dunnett, 1955). Pooling alone would call arms better that only spread more than the others. Two guards:

    V_j = V̄ + w_j max(0, v_j − V̄)          w_j = (n_j − 1) / (n_j + 3): an arm that spreads more pays for it
    half width of arm j = max(c √(V_j / n_j), t √(v_j / n_j))      t: Student's, n_j − 1 degrees of freedom

The interval of arm j is its mean difference ± this half width: the hull of its simultaneous interval and of its own
paired interval. An arm is better, or worse, where the interval does not hold 0. The corrected p value is the larger of
those of the two tests, so it lies below the level exactly then.

The improvement is a ratio. Its interval holds every r for which baseline · (1 − r) − arm does not differ from 0 by the
same test, with c as it is at r = 0 (Fieller, "Some problems in interval estimation", 1954). It leaves out 0 exactly
when the interval of the difference does.

`python -m benchmarks.statistics` measures how often the rule errs (docs/statistics.md). References: Dunnett, "A
multiple comparison procedure for comparing several treatments with a control", 1955; Satterthwaite, "An approximate
distribution of estimates of variance components", 1946.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from study.results.dunnett import BASELINE_SHARE, Floats, critical_ts, p_of_largest
from study.results.statistics import ROUNDING, Interval

RULE = "guarded-dunnett"
"""The name of this rule, as tables have it."""

LEVEL = 0.05
"""The chance of calling any arm of a table better or worse that is not."""

FEWEST_SEEDS = 3
"""With fewer an arm has no verdict: two differences say next to nothing about their spread."""

Finding = Literal[
    "better", "worse", "no_difference_that_matters", "undecided", "one_seed", "two_seeds", "no_spread", "no_common_seed"
]

_LEAST_CORRELATION, _MOST_CORRELATION = 0.5, 0.99
_WEIGHT_OF_POOL = 4  # in seeds: w_j = (n_j − 1) / (n_j − 1 + 4)


@dataclass(frozen=True)
class Moments:
    """Variances and covariance of the pairs (difference, baseline) over seeds; arrays of one shape. They are those of
    single seeds, not of means."""

    differences: Floats
    baseline: Floats
    covariance: Floats


@dataclass(frozen=True)
class Contrasts:
    """What the rule uses of the errors of one baseline and k arms.

    Attributes:
        n: (..., k), seeds that an arm shares with the baseline.
        difference: (..., k), mean of baseline − arm over these seeds; NaN where there are none; 0 where all differences
            are 0 but for rounding.
        baseline: (..., k), the baseline's mean over the same seeds.
        own: (..., k), variances over the arm's seeds; NaN with fewer than two.
        pooled: (...), the same of all arms that have a spread; NaN where none has.
        df: (...), degrees of freedom of the pooled variance.
        spreads: (..., k), whether the differences of an arm are not all the same.
        correlation: of two mean differences; less than 0.5 where two arms have different seeds.
    """

    n: Floats
    difference: Floats
    baseline: Floats
    own: Moments
    pooled: Moments
    df: Floats
    spreads: np.ndarray
    correlation: float

    def charged(self) -> Floats:
        """V_j, (..., k): the pooled variance, and a share of what an arm's own exceeds it by."""
        pooled = self.pooled.differences[..., None]
        return pooled + self._weight() * np.fmax(self.own.differences - pooled, 0)

    def mixed(self) -> Moments:
        """Moments between the pooled and an arm's own: those that are charged where the own variance is larger."""
        weight = self._weight()

        def mix(own: Floats, pooled: Floats) -> Floats:
            return (1 - weight) * pooled[..., None] + weight * own

        return Moments(
            mix(self.own.differences, self.pooled.differences),
            mix(self.own.baseline, self.pooled.baseline),
            mix(self.own.covariance, self.pooled.covariance),
        )

    def _weight(self) -> Floats:
        return (self.n - 1) / (self.n - 1 + _WEIGHT_OF_POOL)


@dataclass(frozen=True)
class Family:
    """How many tests a family has, and its part of the level.

    A family is the arms of one baseline that were planned over the same seeds.

    Attributes:
        planned: arms that were planned, whatever became of them.
        level: of the whole table.
        share: of the level that this family has; (0, 1]. With several families: its planned arms / those of all.
    """

    planned: int
    level: float = LEVEL
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.planned < 1 or not 0 < self.level < 1 or not 0 < self.share <= 1:
            raise ValueError(f"{self}: at least one planned arm, a level in (0, 1), a share in (0, 1]")


@dataclass(frozen=True)
class Judged:
    """One arm against its baseline.

    Attributes:
        n: the seeds both have.
        difference_points: mean of baseline error − arm error, in percentage points; positive: fewer errors. None
            without a common seed.
        difference_interval: the interval of it that the verdict is read off, in percentage points.
        improvement_percent: (mean baseline − mean arm) / mean baseline × 100; None if the baseline has no errors.
        improvement_interval: its interval; None where it is unbounded: the baseline's mean does not differ from 0.
        p_value: two-sided paired t-test of this arm alone.
        p_corrected: the larger of it and of the p value among all arms; below the level exactly where the interval of
            the difference does not hold 0.
        verdict: read off the interval.

    With one seed intervals and p are None. So they are where the difference is the same for all of several seeds,
    except that differences which are all zero give p = 1 and intervals (0, 0).
    """

    n: int
    difference_points: float | None
    difference_interval: Interval | None
    improvement_percent: float | None
    improvement_interval: Interval | None
    p_value: float | None
    p_corrected: float | None
    verdict: Finding


def contrasts(baseline: ArrayLike, arms: ArrayLike) -> Contrasts:
    """Means, spreads and degrees of freedom.

    Args:
        baseline: errors, (..., seeds), NaN where a seed has none.
        arms: errors, (..., seeds, arms), NaN where a seed has none.
    """
    b, a = np.asarray(baseline, dtype=np.float64)[..., None], np.asarray(arms, dtype=np.float64)
    there = np.isfinite(b - a)
    n = there.sum(axis=-2).astype(np.float64)
    b, d = np.where(there, b, 0.0), np.where(there, b - a, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference, level = d.sum(axis=-2) / n, b.sum(axis=-2) / n
        largest = np.maximum(np.abs(b), np.abs(b - d)).max(axis=-2)
        difference = np.where(np.abs(d).max(axis=-2) <= ROUNDING * largest, difference * 0, difference)
        x = np.where(there, d - difference[..., None, :], 0.0)
        y = np.where(there, b - level[..., None, :], 0.0)
        free = np.where(n > 1, n - 1, np.nan)
        own = Moments(*((product.sum(axis=-2) / free) for product in (x * x, y * y, x * y)))
        spreads = (np.abs(x).max(axis=-2) > ROUNDING * largest) & (own.differences > 0)
        weight = np.where(spreads, n - 1, 0.0)

        def over_arms(values: Floats) -> Floats:
            return np.asarray((np.where(spreads, values, 0.0) * weight).sum(axis=-1) / weight.sum(axis=-1))

        pooled = Moments(over_arms(own.differences), over_arms(own.baseline), over_arms(own.covariance))
        df, overlap = _degrees_of_freedom(x, there, n, spreads, own.differences)
    return Contrasts(n, difference, level, own, pooled, df, spreads, BASELINE_SHARE * overlap)


def _degrees_of_freedom(
    x: Floats, there: np.ndarray, n: Floats, spreads: np.ndarray, variances: Floats
) -> tuple[Floats, float]:
    """Of the pooled variance, (...); and the smallest share of seeds that two arms have in common.

    Two normal samples of correlation ρ and variance V have sums of squares of covariance 2 ρ² V² ν_ij, where ν_ij is
    n − 1 for the same n seeds, and less where the arms have some seeds in common only.
    """
    seeds = (there & spreads[..., None, :]).astype(np.float64)
    common = np.swapaxes(seeds, -1, -2) @ seeds
    inverse = np.where(spreads, 1 / n, 0.0)
    rows, columns = inverse[..., :, None], inverse[..., None, :]
    together = common * (1 - rows - columns + common * rows * columns)
    of_pairs = np.where(np.eye(n.shape[-1], dtype=bool), 0.0, together)
    scale = np.sqrt(variances[..., :, None] * variances[..., None, :])
    compared = of_pairs > 0.5
    correlations = np.where(compared, np.swapaxes(x, -1, -2) @ x / (together * scale), 0.0)
    pairs = np.maximum(compared.sum(axis=(-1, -2)), 1)
    rho = np.clip(correlations.sum(axis=(-1, -2)) / pairs, _LEAST_CORRELATION, _MOST_CORRELATION)
    free = np.where(spreads, n - 1, 0.0).sum(axis=-1)
    overlap = np.where(spreads[..., :, None] & spreads[..., None, :], common * np.sqrt(rows * columns), 1.0)
    return free**2 / (free + rho**2 * of_pairs.sum(axis=(-1, -2))), float(overlap.min(initial=1.0))


def half_widths(found: Contrasts, family: Family) -> Floats:
    """Half of each arm's interval of the difference, (..., k), in the unit of the errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        simultaneous = _critical(found, family)[..., None] * np.sqrt(found.charged() / found.n)
        return np.maximum(simultaneous, _student(found, family) * np.sqrt(found.own.differences / found.n))


def improvement_limits(found: Contrasts, family: Family) -> tuple[Floats, Floats]:
    """Lower and upper ends of (baseline − arm) / baseline, (..., k); NaN where the interval is unbounded."""
    one, all_ = _student(found, family), _critical(found, family)[..., None]
    pooled = Moments(
        found.pooled.differences[..., None], found.pooled.baseline[..., None], found.pooled.covariance[..., None]
    )
    n = np.where(found.n > 0, found.n, np.nan)
    ends = [
        fieller(
            found.difference,
            found.baseline,
            moments.differences / n,
            moments.baseline / n,
            moments.covariance / n,
            t,
        )
        for moments, t in ((pooled, all_), (found.mixed(), all_), (found.own, one))
    ]
    return np.minimum.reduce([low for low, _ in ends]), np.maximum.reduce([high for _, high in ends])


def fieller(
    numerator: Floats,
    denominator: Floats,
    numerator_variance: Floats,
    denominator_variance: Floats,
    covariance: Floats,
    t: Floats,
) -> tuple[Floats, Floats]:
    """Confidence limits of a ratio of two normal means (Fieller, 1954).

    The interval holds every ρ for which numerator − ρ · denominator does not differ from 0 by a t-test.

    Args:
        numerator, denominator: the estimated means.
        numerator_variance, denominator_variance, covariance: of these estimates (not of single values).
        t: two-sided critical value.

    Returns:
        (low, high); NaN where the denominator does not differ from 0 by the same test: no bounded interval exists.
    """
    # The limits are the roots of a ρ² − 2 b ρ + c = 0.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a = np.asarray(denominator**2 - t**2 * denominator_variance)
        b = numerator * denominator - t**2 * covariance
        c = numerator**2 - t**2 * numerator_variance
        a = np.where(a > 0, a, np.nan)
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))  # at least 0 but for rounding: the ratio lies in the interval
        return (b - root) / a, (b + root) / a


def judge(
    baseline: ArrayLike, arms: ArrayLike, family: Family | None = None, smallest_effect: float | None = None
) -> list[Judged]:
    """Judge the arms of one baseline.

    Args:
        baseline: test errors, fractions of 1, (seeds,); NaN where a seed has none.
        arms: test errors, (seeds, arms); NaN where a seed has none. An arm that may not be judged is left out, and
            counts in `family.planned`.
        family: how many arms were planned, and their level. None: these arms, at 5 %.
        smallest_effect: per cent; an improvement inside ± this does not matter. None: every difference matters.

    Returns:
        what is found of each arm, in their order.

    Raises:
        ValueError: the shapes do not fit, or fewer arms were planned than there are.
    """
    b, a = np.asarray(baseline, dtype=np.float64), np.asarray(arms, dtype=np.float64)
    if b.ndim != 1 or a.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ValueError(f"a baseline of shape {b.shape} and arms of shape {a.shape}; expected (seeds,), (seeds, arms)")
    if a.shape[1] == 0:
        return []
    family = family or Family(a.shape[1])
    if family.planned < a.shape[1]:
        raise ValueError(f"{a.shape[1]} arms of {family.planned} planned ones")
    # Values near 1, whose squares are no zeros; a power of two rounds nothing.
    exponent = math.frexp(float(np.nanmax(np.abs(np.append(a, b)), initial=0.0)))[1]
    found = contrasts(np.ldexp(b, -exponent), np.ldexp(a, -exponent))
    halves = half_widths(found, family)
    ends = improvement_limits(found, family)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        own_t = np.abs(found.difference) / np.sqrt(found.own.differences / found.n)
        joint_t = np.abs(found.difference) / np.sqrt(found.charged() / found.n)
        points = np.ldexp(np.stack([found.difference, found.difference - halves, found.difference + halves]), exponent)
        ratio = np.where(found.baseline > 0, found.difference / found.baseline, np.nan) * 100
    judged = []
    for arm in range(a.shape[1]):
        n = int(found.n[arm])
        if n < 2 or not found.spreads[arm]:
            judged.append(_without_spread(n, float(points[0, arm] * 100), float(ratio[arm]), found, arm))
            continue
        p_own = float(2 * special.stdtr(n - 1, -own_t[arm]))
        p_all = p_of_largest(float(joint_t[arm]), float(found.df), family.planned, found.correlation) / family.share
        low, high = float(points[1, arm] * 100), float(points[2, arm] * 100)
        improvement = _interval(float(ends[0][arm] * 100), float(ends[1][arm] * 100))
        judged.append(
            Judged(
                n=n,
                difference_points=float(points[0, arm] * 100),
                difference_interval=(low, high),
                improvement_percent=_finite(float(ratio[arm])),
                improvement_interval=improvement,
                p_value=p_own,
                p_corrected=max(p_own, min(p_all, 1.0)),
                verdict=_verdict(n, (low, high), improvement, smallest_effect),
            )
        )
    return judged


def is_inside(interval: Interval | None, smallest_effect: float | None) -> bool:
    """Whether an interval of the improvement shows that no difference of `smallest_effect` per cent is left."""
    return (
        interval is not None
        and smallest_effect is not None
        and -smallest_effect < interval[0]
        and interval[1] < smallest_effect
    )


def _verdict(n: int, interval: Interval, improvement: Interval | None, smallest_effect: float | None) -> Finding:
    if n < FEWEST_SEEDS:
        return "two_seeds"
    if interval[0] > 0:
        return "better"
    if interval[1] < 0:
        return "worse"
    return "no_difference_that_matters" if is_inside(improvement, smallest_effect) else "undecided"


def _without_spread(n: int, points: float, ratio: float, found: Contrasts, arm: int) -> Judged:
    """One seed, none, or the same difference on all of several seeds."""
    if n == 0:
        return Judged(0, None, None, None, None, None, None, "no_common_seed")
    if n == 1:
        return Judged(1, points, None, _finite(ratio), None, None, None, "one_seed")
    if found.difference[arm] != 0:
        return Judged(n, points, None, _finite(ratio), None, None, None, "no_spread")
    verdict: Finding = "undecided" if n >= FEWEST_SEEDS else "two_seeds"
    improvement = None if math.isnan(ratio) else (0.0, 0.0)
    return Judged(n, 0.0, (0.0, 0.0), 0.0 if improvement else None, improvement, 1.0, 1.0, verdict)


def _critical(found: Contrasts, family: Family) -> Floats:
    df = np.where(np.isfinite(found.df), found.df, 1.0)
    return critical_ts(family.level * family.share, df, family.planned, found.correlation)


def _student(found: Contrasts, family: Family) -> Floats:
    return np.asarray(-special.stdtrit(np.where(found.n > 1, found.n - 1, np.nan), family.level / 2))


def _interval(low: float, high: float) -> Interval | None:
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def by_seed(seeds: Sequence[int], errors: Sequence[Mapping[int, float]]) -> Floats:
    """Errors by seed as a matrix, (seeds, arms), for `judge`; NaN where a seed has none."""
    return np.array([[of_arm.get(seed, math.nan) for of_arm in errors] for seed in seeds]).reshape(
        len(seeds), len(errors)
    )
