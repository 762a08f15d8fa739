"""The statistics against SciPy, against published worked examples, and by simulation."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.coverage import WORLDS, World, coverage, false_effects, seed_correlation
from study.results.read import TrackedStudy
from study.results.statistics import compare, fieller, holm, mean, student_interval

# Hours of additional sleep by two drugs on ten patients, the data of Student (1908).
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

# Inches/8 by which Darwin's crossed maize outgrew its self-fertilised twin, pair by pair: the example of Fisher, "The
# Design of Experiments" (1935), chapter III.
MAIZE = [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0]

NORMAL_WORLDS = [world for world in WORLDS if not world.skewed]

errors = st.floats(0.001, 0.999)
paired_errors = st.lists(st.tuples(errors, errors), min_size=2, max_size=12)


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_the_mean_does_not_lose_small_values_beside_large_ones() -> None:
    assert mean([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean([])


@given(st.lists(errors, min_size=2, max_size=12).filter(lambda values: max(values) - min(values) > 1e-6))
def test_the_student_interval_is_that_of_scipy(values: list[float]) -> None:
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert student_interval(values) == pytest.approx(expected)


def test_students_own_example() -> None:
    # R documents `t.test(extra ~ group, data = sleep, paired = TRUE)`: t = -4.0621, p = 0.002833 and this interval.
    found = compare(by_seed(SLEEP_1), by_seed(SLEEP_2))
    assert found is not None
    assert found.difference_points == pytest.approx(-158)
    assert found.difference_ci95 == pytest.approx((-245.98858, -70.01142), abs=1e-4)
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)


def test_students_own_conclusion() -> None:
    # "The probable error of a mean" (1908), section IX, illustration I: the mean difference is 1.58 hours, and the
    # probability that the second drug is the better one is .9985, by interpolation in his table.
    found = compare(by_seed(SLEEP_2), by_seed(SLEEP_1))
    assert found is not None
    assert found.difference_points == pytest.approx(158)
    assert found.p_value is not None
    assert 1 - found.p_value / 2 == pytest.approx(0.9985, abs=1e-4)


def test_fishers_maize() -> None:
    # Fisher: the sum of the differences is 314, t = 2.148 with 14 degrees of freedom, just beyond the 5 % point 2.145.
    found = compare(by_seed(MAIZE), by_seed([0.0] * len(MAIZE)))
    assert found is not None
    assert found.difference_points == pytest.approx(314 / 15 * 100)
    assert found.p_value is not None
    assert stats.t.isf(found.p_value / 2, 14) == pytest.approx(2.148, abs=5e-4)
    assert found.difference_ci95 is not None
    assert 0 < found.difference_ci95[0] < 10


@pytest.mark.parametrize("values", [[0.01], [0.01, 0.01], [0.0, 0.0, 0.0], [0.1 + 0.2, 0.3]])
def test_a_sample_without_spread_has_no_interval(values: list[float]) -> None:
    assert student_interval(values) is None


@given(paired_errors.filter(lambda pairs: np.ptp([x - y for x, y in pairs]) > 1e-6))
def test_the_paired_test_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    baseline, arm = [x for x, _ in pairs], [y for _, y in pairs]
    test = stats.ttest_rel(baseline, arm)
    interval = test.confidence_interval(0.95)
    found = compare(by_seed(baseline), by_seed(arm))
    assert found is not None
    assert found.p_value == pytest.approx(test.pvalue, rel=1e-6)
    assert found.difference_ci95 == pytest.approx((interval.low * 100, interval.high * 100), rel=1e-6, abs=1e-9)
    assert found.improvement_percent == pytest.approx((1 - np.mean(arm) / np.mean(baseline)) * 100)


@given(paired_errors.filter(lambda pairs: np.ptp([x - y for x, y in pairs]) > 1e-4))
def test_improvement_interval_matches_a_paired_test(
    pairs: list[tuple[float, float]],
) -> None:
    """The interval ends where a paired test of that improvement just rejects."""
    baseline, arm = np.array([x for x, _ in pairs]), np.array([y for _, y in pairs])
    found = compare(by_seed(list(baseline)), by_seed(list(arm)))
    assert found is not None
    if found.improvement_ci95 is None:
        assert stats.ttest_1samp(baseline, 0).pvalue >= 0.05 * (1 - 1e-6)
        return
    low, high = found.improvement_ci95
    assert found.improvement_percent is not None
    assert found.p_value is not None
    assert low < found.improvement_percent < high
    for end in (low, high):
        assert stats.ttest_rel(arm, (1 - end / 100) * baseline).pvalue == pytest.approx(0.05, rel=1e-3)
    if abs(found.p_value - 0.05) > 1e-9:
        assert (low > 0 or high < 0) == (found.p_value < 0.05)


def test_with_many_seeds_the_bootstrap_says_the_same() -> None:
    rng = np.random.default_rng(1908)
    shared = rng.normal(0.2, 0.006, 400)
    baseline, arm = shared + rng.normal(0, 0.004, 400), 0.9 * shared + rng.normal(0, 0.004, 400)
    of_mean = stats.bootstrap((baseline,), np.mean, rng=rng).confidence_interval
    of_ratio = stats.bootstrap(
        (baseline, arm),
        lambda x, y, axis: (1 - np.mean(y, axis=axis) / np.mean(x, axis=axis)) * 100,
        paired=True,
        vectorized=True,
        rng=rng,
    ).confidence_interval
    found = compare(by_seed(list(baseline)), by_seed(list(arm)))
    assert found is not None
    for interval, bootstrap in ((student_interval(list(baseline)), of_mean), (found.improvement_ci95, of_ratio)):
        assert interval is not None
        assert interval == pytest.approx((bootstrap.low, bootstrap.high), abs=0.05 * (bootstrap.high - bootstrap.low))


def test_published_limits_of_a_ratio() -> None:
    # DCSTATS, the programs to Colquhoun's "Lectures on Biostatistics": 14 ± 3 over 7 ± 2, t(0.9, 10).
    assert fieller(14, 7, 3**2, 2**2, 0, 1.812461) == pytest.approx((1.051413, 4.414296), abs=2e-6)
    # GraphPad QuickCalcs, "CI of a quotient": 14, SD 3 over 7, SD 2, six values each.
    assert fieller(14, 7, 3**2 / 6, 2**2 / 6, 0, stats.t.ppf(0.975, 10)) == pytest.approx((1.46, 2.83), abs=0.005)


def test_ratio_to_a_possible_zero_is_unbounded() -> None:
    """A denominator that may be zero leaves the ratio unbounded."""
    assert fieller(1, 1, 0.1, 1, 0, 2.0) is None
    found = compare({0: 0.0, 1: 0.5}, {0: 0.1, 1: 0.2})
    assert found is not None
    assert found.improvement_ci95 is None
    assert found.difference_ci95 is not None


def test_one_seed_gives_an_improvement_without_interval_or_p() -> None:
    found = compare({3: 0.02}, {3: 0.01})
    assert found is not None
    assert found.improvement_percent == pytest.approx(50)
    assert (found.difference_ci95, found.improvement_ci95, found.p_value) == (None, None, None)


def test_only_common_seeds_are_compared() -> None:
    found = compare({0: 0.9, 1: 0.04, 2: 0.05}, {1: 0.02, 2: 0.03, 7: 0.9})
    assert found is not None
    assert found.seeds == (1, 2)
    assert found.difference_points == pytest.approx(2)
    assert compare({0: 0.1}, {1: 0.1}) is None


def test_identical_arm_and_baseline_do_not_differ() -> None:
    """An arm that equals its baseline seed by seed differs by nothing."""
    found = compare({0: 0.02, 1: 0.03}, {0: 0.02, 1: 0.03})
    assert found is not None
    assert (found.p_value, found.difference_ci95, found.improvement_ci95) == (1.0, (0.0, 0.0), (0.0, 0.0))


def test_the_same_difference_on_all_seeds_cannot_be_tested() -> None:
    # 0.05 - 0.04 and 0.04 - 0.03 differ by rounding only.
    found = compare({0: 0.05, 1: 0.04}, {0: 0.04, 1: 0.03})
    assert found is not None
    assert found.difference_points == pytest.approx(1)
    assert (found.p_value, found.difference_ci95, found.improvement_ci95) == (None, None, None)


def test_a_baseline_that_never_errs_leaves_no_improvement() -> None:
    found = compare({0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.1})
    assert found is not None
    assert found.improvement_percent is None
    assert found.improvement_ci95 is None
    same = compare({0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.0})
    assert same is not None
    assert (same.p_value, same.improvement_percent, same.improvement_ci95) == (1.0, None, None)


def test_holm_corrects_a_textbook_family() -> None:
    # The example of the encyclopedia article "Holm-Bonferroni method".
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_what_was_not_tested_does_not_count_for_holm() -> None:
    assert holm([None, 0.02, None, 0.03]) == [None, 0.04, None, 0.04]
    assert holm([]) == []


def test_a_planned_test_that_was_not_made_counts_as_one_with_p_1() -> None:
    assert holm([None, 0.02, None, 0.03], planned=4) == [None, 0.08, None, 0.09]
    assert holm([0.02, 0.03, 1.0, 1.0]) == [0.08, 0.09, 1.0, 1.0]


def test_there_are_not_more_tests_than_were_planned() -> None:
    with pytest.raises(ValueError, match="2 p-values of 1 planned tests"):
        holm([0.1, 0.2], planned=1)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_lies_between_raw_and_bonferroni(p_values: list[float]) -> None:
    """Holm's correction lies between the p-value and Bonferroni's and keeps the order of the p-values."""
    corrected = [p for p in holm(p_values) if p is not None]
    for raw, value in zip(p_values, corrected, strict=True):
        assert raw <= value <= min(1.0, raw * len(p_values))
    ordered = [value for _, value in sorted(zip(p_values, corrected, strict=True))]
    assert all(first <= second for first, second in pairwise(ordered))


@pytest.mark.parametrize("world", NORMAL_WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_intervals_hold_the_truth_in_95_of_100_studies(world: World, seeds: int) -> None:
    found = coverage(world, seeds, studies=2000)
    assert 0.93 <= found.mean <= 0.97
    assert 0.93 <= found.improvement <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
def test_percentile_bootstrap_fails_for_few_seeds(seeds: int) -> None:
    """For few seeds a percentile bootstrap would hold the truth in fewer than 90 of 100 studies."""
    assert coverage(NORMAL_WORLDS[0], seeds, studies=2000).bootstrap < 0.9


@pytest.mark.parametrize("world", NORMAL_WORLDS, ids=lambda world: world.name)
def test_of_100_tables_without_an_effect_at_most_6_name_one(world: World) -> None:
    corrected, uncorrected = false_effects(world, seeds=5, arms=10, tables=2000)
    assert 0 < corrected <= 0.065
    assert uncorrected > 0.2, "ten tests at 5 % each: that is what is corrected for"


@pytest.mark.parametrize("world", NORMAL_WORLDS, ids=lambda world: world.name)
def test_seed_correlation_is_estimated_from_rows(world: World) -> None:
    """What the seeds of a study share is estimated from its rows."""
    drawn = world.draw(world.generator(0), (0.10, 0.15, 0.20, 0.25), studies=1, seeds=500)[0]
    trials = pd.DataFrame(
        {"status": "FINISHED", "params.sigma": str(row), "params.seed": str(seed), "metrics.test_error": error}
        for row, errors in enumerate(drawn.tolist())
        for seed, error in enumerate(errors)
    ).assign(**{"tags.noisy_study.stage": "grid", "tags.noisy_study.outcome": "completed"})
    study = TrackedStudy("drawn", trials=trials, teachers=pd.DataFrame())
    assert seed_correlation(study) == pytest.approx(world.correlation, abs=0.06)
    with pytest.raises(ValueError, match="drawn has 1 rows"):
        seed_correlation(TrackedStudy("drawn", trials[trials["params.sigma"] == "0"], pd.DataFrame()))


@given(paired_errors)
def test_no_answer_is_ever_nan_or_infinite(pairs: list[tuple[float, float]]) -> None:
    found = compare(by_seed([x for x, _ in pairs]), by_seed([y for _, y in pairs]))
    assert found is not None
    values = [found.difference_points, found.improvement_percent, found.p_value]
    values += [*(found.difference_ci95 or ()), *(found.improvement_ci95 or ())]
    assert all(math.isfinite(value) for value in values if value is not None)


any_errors = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 5e-324, 1e-310, 1e-200, 1e-160, 1e-9, 1.0]))


@settings(max_examples=500)
@example([(5e-324, 1.0), (0.0, 1.0)])
@example([(1e-200, 3e-200), (2e-200, 1e-200)])
@example([(1e-160, 1.0), (2e-160, 0.5)])
@given(st.lists(st.tuples(any_errors, any_errors), min_size=1, max_size=6))
def test_no_errors_between_0_and_1_are_too_small_to_be_compared(pairs: list[tuple[float, float]]) -> None:
    """Neither an overflow, nor a division by zero, nor a number that JSON cannot hold."""
    baseline, arm = (by_seed([pair[side] for pair in pairs]) for side in (0, 1))
    found = compare(baseline, arm)
    assert found is not None
    intervals = [found.difference_ci95, found.improvement_ci95, student_interval(list(arm.values()))]
    numbers = [found.difference_points, found.improvement_percent, found.p_value]
    for interval in intervals:
        if interval is not None:
            assert interval[0] <= interval[1]
            numbers += interval
    assert all(number is None or math.isfinite(number) for number in numbers)


@given(paired_errors.filter(lambda pairs: np.ptp([x - y for x, y in pairs]) > 1e-4), st.integers(-600, 0))
def test_the_unit_of_the_errors_changes_no_verdict(pairs: list[tuple[float, float]], exponent: int) -> None:
    one = compare(by_seed([x for x, _ in pairs]), by_seed([y for _, y in pairs]))
    small = [(math.ldexp(x, exponent), math.ldexp(y, exponent)) for x, y in pairs]
    other = compare(by_seed([x for x, _ in small]), by_seed([y for _, y in small]))
    assert one is not None
    assert other is not None
    assert (one.p_value, one.improvement_percent) == (other.p_value, other.improvement_percent)
    assert one.improvement_ci95 == other.improvement_ci95
