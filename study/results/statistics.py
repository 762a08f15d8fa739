"""How much better, and how sure: the statistics behind a table.

Works on numbers alone: test errors as fractions of 1, one per seed. Knows nothing of arms, studies or MLflow. Where a
sample says nothing about its spread, the answer is None and not a number that looks like one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import special

Interval = tuple[float, float]
"""(low, high), low ≤ high."""

CONFIDENCE = 0.95

# Errors of test sets are counts over at most some hundred thousand images: below this share of the largest of them a
# difference is rounding of floating point, not a spread.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """An arm against its baseline, seed by seed.

    Attributes:
        seeds: the seeds both have, ascending.
        difference_points: mean of baseline error − arm error, in percentage points; positive: the arm errs less.
        difference_ci95: Student's 95 % interval of it.
        improvement_percent: (mean baseline − mean arm) / mean baseline × 100; None where the baseline never errs, or
            so seldom that the number is too large to be written.
        improvement_ci95: its 95 % interval by Fieller's theorem; None where it is unbounded.
        p_value: two-sided paired t-test of no difference.

    With one seed both intervals and p are None. Where the difference is the same for all of several seeds, it has no
    spread to test against: p and the intervals are None then too, except that differences which are all zero give
    p = 1 and intervals (0, 0).
    """

    seeds: tuple[int, ...]
    difference_points: float
    difference_ci95: Interval | None
    improvement_percent: float | None
    improvement_ci95: Interval | None
    p_value: float | None


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean, summed without rounding.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("the mean of no values")
    return math.fsum(values) / len(values)


def student_interval(values: Sequence[float]) -> Interval | None:
    """The 95 % confidence interval of a mean by Student's t (Student, "The probable error of a mean", 1908).

    Not a bootstrap: over three to five seeds a percentile bootstrap holds the mean in 75 to 85 of 100 studies only
    (docs/statistics.md).

    Returns:
        (low, high) in the unit of the values, not cut at 0; None for one value, and for values that are all the same:
        they say nothing about their spread.
    """
    if len(values) < 2 or _no_spread(values, scale=max(map(abs, values))):
        return None
    exponent = _exponent(values)
    scaled = _scaled(values, exponent)
    centre = mean(scaled)
    half = _t_quantile(len(values)) * math.sqrt(_covariance_of_means(scaled, scaled))
    return math.ldexp(centre - half, exponent), math.ldexp(centre + half, exponent)


def compare(baseline: Mapping[int, float], arm: Mapping[int, float]) -> Comparison | None:
    """Compare an arm with its baseline over the seeds they share.

    Args:
        baseline, arm: test error, a fraction of 1, by seed.

    Returns:
        the comparison; None where they share no seed.
    """
    seeds = tuple(sorted(baseline.keys() & arm.keys()))
    if not seeds:
        return None
    exponent = _exponent([*baseline.values(), *arm.values()])
    of_baseline = _scaled([baseline[seed] for seed in seeds], exponent)
    of_arm = _scaled([arm[seed] for seed in seeds], exponent)
    differences = [x - y for x, y in zip(of_baseline, of_arm, strict=True)]
    scale = max(map(abs, of_baseline + of_arm))
    all_zero = max(map(abs, differences)) <= _ROUNDING * scale
    difference, level = 0.0 if all_zero else mean(differences), mean(of_baseline)
    improvement = None if level == 0 else _finite(difference / level * 100)

    difference_ci: Interval | None = None
    improvement_ci: Interval | None = None
    p_value: float | None = None
    if len(seeds) > 1 and all_zero:
        difference_ci, p_value = (0.0, 0.0), 1.0
        improvement_ci = None if improvement is None else (0.0, 0.0)
    elif len(seeds) > 1 and not _no_spread(differences, scale):
        error = math.sqrt(_covariance_of_means(differences, differences))
        half = _t_quantile(len(seeds)) * error
        low, high = (math.ldexp(end, exponent) * 100 for end in (difference - half, difference + half))
        difference_ci = low, high
        p_value = float(2 * special.stdtr(len(seeds) - 1, -abs(difference) / error))
        improvement_ci = _improvement_interval(of_baseline, differences)
    points = math.ldexp(difference, exponent) * 100
    return Comparison(seeds, points, difference_ci, improvement, improvement_ci, p_value)


def fieller(
    numerator: float,
    denominator: float,
    numerator_variance: float,
    denominator_variance: float,
    covariance: float,
    t: float,
) -> Interval | None:
    """Confidence limits of a ratio of two normal means (Fieller, "Some problems in interval estimation", 1954).

    The interval holds every ρ for which numerator − ρ · denominator does not differ from 0 by a t-test, so it excludes
    0 exactly when the numerator differs from 0 by that test.

    Args:
        numerator, denominator: the estimated means.
        numerator_variance, denominator_variance, covariance: of these estimates (not of single values).
        t: two-sided quantile of Student's t at the wanted confidence.

    Returns:
        (low, high), both finite; None where the denominator does not differ from 0 by the same test: no bounded
        interval exists. Also where an end is too large to be written.
    """
    # The limits are the roots of a ρ² − 2 b ρ + c = 0.
    a = denominator**2 - t**2 * denominator_variance
    b = numerator * denominator - t**2 * covariance
    c = numerator**2 - t**2 * numerator_variance
    if a <= 0:
        return None
    root = math.sqrt(max(b**2 - a * c, 0.0))  # at least 0 but for rounding: the ratio itself lies in the interval
    low, high = (b - root) / a, (b + root) / a
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def holm(p_values: Sequence[float | None], planned: int | None = None) -> list[float | None]:
    """p-values corrected for their number (Holm, "A simple sequentially rejective multiple test procedure", 1979).

    Rejecting where the corrected value lies below a level keeps the chance of any false rejection below that level.

    Args:
        p_values: in [0, 1]; None where nothing was tested.
        planned: how many tests were planned. Which tests can be made may depend on the results, so a planned test that
            was not made counts as one with p = 1. None: as many as there are p-values.

    Returns:
        the corrected values in the same order, None where None was given.

    Raises:
        ValueError: there are more p-values than planned tests.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    number = len(tested) if planned is None else planned
    if number < len(tested):
        raise ValueError(f"{len(tested)} p-values of {number} planned tests")
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, p * (number - rank)))
        corrected[index] = largest
    return corrected


def _no_spread(values: Sequence[float], scale: float) -> bool:
    return max(values) - min(values) <= _ROUNDING * scale


def _exponent(values: Sequence[float]) -> int:
    """The power of two of the largest value."""
    return math.frexp(max(map(abs, values)))[1]


def _scaled(values: Sequence[float], exponent: int) -> list[float]:
    """Values near 1, whose squares are no zeros: they are divided by a power of two, which rounds nothing."""
    return [math.ldexp(value, -exponent) for value in values]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _t_quantile(n: int) -> float:
    """The two-sided quantile of Student's t for the mean of n values."""
    return float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2))


def _covariance_of_means(x: Sequence[float], y: Sequence[float]) -> float:
    """Estimated covariance of the means of two paired samples; of one sample with itself, the squared standard
    error of its mean."""
    mean_x, mean_y, n = mean(x), mean(y), len(x)
    return math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / (n - 1) / n


def _improvement_interval(baseline: Sequence[float], differences: Sequence[float]) -> Interval | None:
    """Fieller's 95 % interval, in per cent, of mean difference / mean baseline on the paired sample.

    It excludes 0 exactly when the paired t-test rejects at 5 %.
    """
    interval = fieller(
        mean(differences),
        mean(baseline),
        _covariance_of_means(differences, differences),
        _covariance_of_means(baseline, baseline),
        _covariance_of_means(differences, baseline),
        _t_quantile(len(baseline)),
    )
    if interval is None or not math.isfinite(interval[0] * 100) or not math.isfinite(interval[1] * 100):
        return None
    return interval[0] * 100, interval[1] * 100
