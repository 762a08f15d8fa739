"""The statistics against SciPy, against published worked examples, and by simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.results.statistics import compare, fieller, holm, mean, student_interval

# Hours of additional sleep by two drugs on ten patients, the data of Student (1908).
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

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
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert student_interval(values) == pytest.approx((expected.low, expected.high))


def test_students_own_example() -> None:
    # R documents `t.test(extra ~ group, data = sleep, paired = TRUE)`: t = -4.0621, p = 0.002833 and this interval.
    found = compare(by_seed(SLEEP_1), by_seed(SLEEP_2))
    assert found is not None
    assert found.difference_points == pytest.approx(-158)
    assert found.difference_ci95 == pytest.approx((-245.98858, -70.01142), abs=1e-4)
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)


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
def test_the_improvement_interval_ends_where_a_paired_test_of_that_improvement_just_rejects(
    pairs: list[tuple[float, float]],
) -> None:
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


def test_published_limits_of_a_ratio() -> None:
    # DCSTATS, the programs to Colquhoun's "Lectures on Biostatistics": 14 ± 3 over 7 ± 2, t(0.9, 10).
    assert fieller(14, 7, 3**2, 2**2, 0, 1.812461) == pytest.approx((1.051413, 4.414296), abs=2e-6)
    # GraphPad QuickCalcs, "CI of a quotient": 14, SD 3 over 7, SD 2, six values each.
    assert fieller(14, 7, 3**2 / 6, 2**2 / 6, 0, stats.t.ppf(0.975, 10)) == pytest.approx((1.46, 2.83), abs=0.005)


def test_a_denominator_that_may_be_zero_leaves_the_ratio_unbounded() -> None:
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


def test_an_arm_that_equals_its_baseline_seed_by_seed_differs_by_nothing() -> None:
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


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_lies_between_the_p_value_and_bonferroni_and_keeps_its_order(p_values: list[float]) -> None:
    corrected = [p for p in holm(p_values) if p is not None]
    for raw, value in zip(p_values, corrected, strict=True):
        assert raw <= value <= min(1.0, raw * len(p_values))
    ordered = [value for _, value in sorted(zip(p_values, corrected, strict=True))]
    assert all(first <= second for first, second in pairwise(ordered))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_intervals_hold_the_truth_in_95_of_100_studies(seeds: int) -> None:
    # An arm at 19 % error, its baseline at 22 %; seeds move both together, and each by itself.
    rng = np.random.default_rng(seeds)
    truth = (0.22 - 0.19) / 0.22 * 100
    student = ratio = 0
    for _ in range(2000):
        shared = rng.normal(0, 0.006, seeds)
        baseline = 0.22 + shared + rng.normal(0, 0.004, seeds)
        arm = 0.19 + shared + rng.normal(0, 0.004, seeds)
        interval = student_interval(list(baseline))
        found = compare(by_seed(list(baseline)), by_seed(list(arm)))
        assert interval is not None
        assert found is not None
        assert found.improvement_ci95 is not None
        student += interval[0] <= 0.22 <= interval[1]
        ratio += found.improvement_ci95[0] <= truth <= found.improvement_ci95[1]
    assert 0.93 <= student / 2000 <= 0.97
    assert 0.93 <= ratio / 2000 <= 0.97


def test_a_table_without_any_effect_calls_something_an_improvement_in_at_most_6_of_100_cases() -> None:
    rng = np.random.default_rng(1610)
    rejected = 0
    for _ in range(2000):
        shared = rng.normal(0.2, 0.006, 5)
        baseline = by_seed(list(shared + rng.normal(0, 0.004, 5)))
        found = [compare(baseline, by_seed(list(shared + rng.normal(0, 0.004, 5)))) for _ in range(10)]
        corrected = holm([comparison.p_value if comparison else None for comparison in found])
        rejected += any(p is not None and p < 0.05 for p in corrected)
    assert rejected / 2000 <= 0.065
    assert rejected > 0


@given(paired_errors)
def test_no_answer_is_ever_nan_or_infinite(pairs: list[tuple[float, float]]) -> None:
    found = compare(by_seed([x for x, _ in pairs]), by_seed([y for _, y in pairs]))
    assert found is not None
    values = [found.difference_points, found.improvement_percent, found.p_value]
    values += [*(found.difference_ci95 or ()), *(found.improvement_ci95 or ())]
    assert all(math.isfinite(value) for value in values if value is not None)
