"""The rule that judges a table: what it says of given errors, and that all it says agrees."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from study.results.rule import Family, Judged, by_seed, fieller, judge

# Hours of additional sleep by two drugs on ten patients, the data of Student (1908).
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

# Inches/8 by which Darwin's crossed maize outgrew its self-fertilised twin, pair by pair: the example of Fisher, "The
# Design of Experiments" (1935), chapter III.
MAIZE = [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0]

errors = st.floats(0.001, 0.999)
paired_errors = st.lists(st.tuples(errors, errors), min_size=3, max_size=12).filter(
    lambda pairs: np.ptp([x - y for x, y in pairs]) > 1e-4
)


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[float], list[list[float]], Family]:
    """A baseline, arms with gaps, and their family; some arms differ."""
    seeds, arms = draw(st.integers(2, 8)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    spread = rng.uniform(0.001, 0.01, arms + 1)
    drawn = 0.1 + rng.normal(0, 1, (seeds, arms + 1)) * spread + np.append(0, rng.choice([0, 0.01, -0.02], arms))
    drawn[rng.uniform(size=drawn.shape) < 0.1] = np.nan
    family = Family(
        arms + draw(st.integers(0, 3)), draw(st.sampled_from([0.05, 0.01])), draw(st.sampled_from([1, 0.4]))
    )
    return drawn[:, 0].tolist(), drawn[:, 1:].tolist(), family


def one_arm(baseline: list[float], arm: list[float]) -> Judged:
    (judged,) = judge(baseline, [[error] for error in arm])
    return judged


def test_students_own_example() -> None:
    """R documents `t.test(extra ~ group, data = sleep, paired = TRUE)`: t = -4.0621, p = 0.002833 and this interval."""
    found = one_arm(SLEEP_1, SLEEP_2)
    assert found.difference_points == pytest.approx(-158)
    assert found.difference_interval == pytest.approx((-245.98858, -70.01142), abs=1e-4)
    assert found.p_value == found.p_corrected == pytest.approx(0.002833, abs=5e-7)
    assert found.verdict == "worse"


def test_fishers_maize() -> None:
    """The sum of the differences is 314, t = 2.148 with 14 degrees of freedom, just beyond the 5 % point 2.145."""
    found = one_arm(MAIZE, [0.0] * len(MAIZE))
    assert found.difference_points == pytest.approx(314 / 15 * 100)
    assert found.p_value is not None
    assert stats.t.isf(found.p_value / 2, 14) == pytest.approx(2.148, abs=5e-4)
    assert found.verdict == "better"


@settings(max_examples=40, deadline=None)
@given(paired_errors)
def test_one_arm_is_judged_by_the_paired_test(pairs: list[tuple[float, float]]) -> None:
    baseline, arm = [x for x, _ in pairs], [y for _, y in pairs]
    test = stats.ttest_rel(baseline, arm)
    interval = test.confidence_interval(0.95)
    found = one_arm(baseline, arm)
    assert found.p_value == found.p_corrected == pytest.approx(test.pvalue, rel=1e-6)
    assert found.difference_interval == pytest.approx((interval.low * 100, interval.high * 100), rel=1e-6, abs=1e-9)
    assert found.improvement_percent == pytest.approx((1 - np.mean(arm) / np.mean(baseline)) * 100)


@settings(max_examples=40, deadline=None)
@given(paired_errors)
def test_improvement_ends_where_the_test_just_rejects(pairs: list[tuple[float, float]]) -> None:
    baseline, arm = np.array([x for x, _ in pairs]), np.array([y for _, y in pairs])
    found = one_arm(list(baseline), list(arm))
    if found.improvement_interval is None:
        assert stats.ttest_1samp(baseline, 0).pvalue >= 0.05 * (1 - 1e-6)
        return
    for end in found.improvement_interval:
        assert stats.ttest_rel(arm, (1 - end / 100) * baseline).pvalue == pytest.approx(0.05, rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(studies())
def test_verdict_p_and_intervals_never_disagree(study: tuple[list[float], list[list[float]], Family]) -> None:
    """The verdict is read off one interval; p and the improvement's interval say the same by construction."""
    baseline, arms, family = study
    for found in judge(baseline, arms, family):
        assert (found.difference_interval is None) == (found.p_corrected is None)
        if found.difference_interval is None or found.p_corrected is None:
            continue
        excludes = found.difference_interval[0] > 0 or found.difference_interval[1] < 0
        assert excludes == (found.p_corrected < family.level)
        if found.improvement_interval is not None:
            low, high = found.improvement_interval
            assert excludes == (low > 0 or high < 0)
            assert found.improvement_percent is not None
            assert low <= found.improvement_percent <= high
        assert (found.verdict in ("better", "worse")) == (excludes and found.n >= 3)
        assert found.p_value is not None
        assert found.p_value <= found.p_corrected


@settings(max_examples=50, deadline=None)
@given(studies())
def test_the_interval_holds_the_arms_own_interval(study: tuple[list[float], list[list[float]], Family]) -> None:
    baseline, arms, family = study
    for found, arm in zip(judge(baseline, arms, family), np.array(arms).T, strict=True):
        there = np.isfinite(arm) & np.isfinite(baseline)
        if found.difference_interval is None or found.p_value == 1:
            continue
        own = stats.ttest_rel(np.array(baseline)[there], arm[there]).confidence_interval(1 - family.level)
        assert found.difference_interval[0] <= own.low * 100 + 1e-9
        assert found.difference_interval[1] >= own.high * 100 - 1e-9


def test_the_formulas_of_the_module_by_hand() -> None:
    """Three seeds, two arms: every step of the module's docstring, written out."""
    baseline, arms = np.array([0.10, 0.12, 0.11]), np.array([[0.09, 0.11], [0.10, 0.10], [0.08, 0.12]])
    d = baseline[:, None] - arms
    v = d.var(axis=0, ddof=1)
    pooled, rho = v.mean(), max(0.5, np.corrcoef(d.T)[0, 1])
    df = 2 * 2 / (1 + rho**2)
    charged = pooled + 2 / 6 * np.maximum(0, v - pooled)
    t = np.abs(d.mean(axis=0)) / np.sqrt(charged / 3)
    shape = [[1, 0.5], [0.5, 1]]
    for found, own_t, joint_t in zip(judge(baseline, arms), d.mean(axis=0) / np.sqrt(v / 3), t, strict=True):
        joint = 1 - stats.multivariate_t(shape=shape, df=df, seed=1).cdf([joint_t] * 2, lower_limit=[-joint_t] * 2)
        expected = max(joint, 2 * stats.t.sf(abs(own_t), 2))
        assert found.p_corrected == pytest.approx(expected, abs=1e-4)


def test_more_planned_arms_make_a_wider_interval() -> None:
    rng = np.random.default_rng(5)
    baseline, arms = rng.normal(0.1, 0.002, 5), rng.normal(0.09, 0.002, (5, 4))
    few, many = judge(baseline, arms), judge(baseline, arms, Family(40))
    for a, b in zip(few, many, strict=True):
        assert a.p_corrected is not None
        assert b.p_corrected is not None
        assert a.p_corrected <= b.p_corrected
    assert any(a.difference_interval != b.difference_interval for a, b in zip(few, many, strict=True))


def test_an_arm_that_spreads_more_pays_for_it() -> None:
    """The other arms' intervals hardly change; its own becomes wider than theirs."""
    rng = np.random.default_rng(6)
    baseline, arms = rng.normal(0.1, 0.002, 5), rng.normal(0.1, 0.002, (5, 10))
    arms[:, 0] += rng.normal(0, 0.02, 5)
    widths = [b - a for a, b in (found.difference_interval or (0, 0) for found in judge(baseline, arms))]
    assert widths[0] > 1.9 * max(widths[1:])


def test_a_share_of_the_level_is_a_smaller_level() -> None:
    rng = np.random.default_rng(7)
    baseline, arms = rng.normal(0.1, 0.002, 5), rng.normal(0.09, 0.002, (5, 4))
    whole, half = judge(baseline, arms), judge(baseline, arms, Family(4, share=0.5))
    for a, b in zip(whole, half, strict=True):
        assert a.difference_interval is not None
        assert b.difference_interval is not None
        assert b.difference_interval[0] <= a.difference_interval[0]


def test_only_common_seeds_are_compared() -> None:
    nan = math.nan
    (found,) = judge([0.9, 0.04, 0.05, 0.06, nan], [[nan], [0.02], [0.03], [0.05], [0.9]])
    assert found.n == 3
    assert found.difference_points == pytest.approx(100 * (0.02 + 0.02 + 0.01) / 3)
    assert judge([0.1, nan], [[nan], [0.1]])[0].verdict == "no_common_seed"


def test_one_seed_has_no_interval() -> None:
    found = one_arm([0.02], [0.01])
    assert found.improvement_percent == pytest.approx(50)
    assert found.verdict == "one_seed"
    assert (found.difference_interval, found.improvement_interval, found.p_value, found.p_corrected) == (None,) * 4


def test_two_seeds_have_an_interval_and_no_verdict() -> None:
    found = one_arm([0.02, 0.0300001], [0.01, 0.02])
    assert found.difference_interval is not None
    assert found.difference_interval[0] > 0
    assert found.verdict == "two_seeds"


def test_identical_arm_and_baseline_do_not_differ() -> None:
    found = one_arm([0.02, 0.03, 0.05], [0.02, 0.03, 0.05])
    assert (found.p_value, found.p_corrected, found.verdict) == (1.0, 1.0, "undecided")
    assert (found.difference_interval, found.improvement_interval) == ((0.0, 0.0), (0.0, 0.0))


def test_the_same_difference_on_seed_list_cannot_be_tested() -> None:
    """0.05 - 0.04 and 0.04 - 0.03 differ by rounding only."""
    found = one_arm([0.05, 0.04, 0.03], [0.04, 0.03, 0.02])
    assert found.difference_points == pytest.approx(1)
    assert (found.p_value, found.difference_interval, found.improvement_interval) == (None, None, None)
    assert found.verdict == "no_spread"


def test_an_arm_without_spread_does_not_narrow_the_others() -> None:
    rng = np.random.default_rng(8)
    baseline, arms = rng.normal(0.1, 0.002, 5), rng.normal(0.1, 0.002, (5, 3))
    alone = judge(baseline, arms, Family(4))
    beside = judge(baseline, np.column_stack([arms, baseline]), Family(4))
    assert [found.difference_interval for found in beside[:3]] == [found.difference_interval for found in alone]


def test_a_baseline_that_never_errs_leaves_no_improvement() -> None:
    found = one_arm([0.0, 0.0, 0.0], [0.0, 0.1, 0.2])
    assert (found.improvement_percent, found.improvement_interval) == (None, None)
    assert found.difference_interval is not None
    same = one_arm([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert (same.p_value, same.improvement_percent, same.improvement_interval) == (1.0, None, None)


@pytest.mark.parametrize(("smallest_effect", "verdict"), [(None, "undecided"), (0.5, "undecided"), (3, "no")])
def test_small_intervals_show_that_no_difference_matters(smallest_effect: float | None, verdict: str) -> None:
    found = judge([0.1, 0.101, 0.099], [[0.1], [0.1008], [0.0997]], smallest_effect=smallest_effect)[0]
    assert found.verdict.startswith(verdict)


def test_better_by_less_than_matters_is_still_better() -> None:
    found = judge([0.1, 0.2, 0.3], [[0.0999], [0.19991], [0.29989]], smallest_effect=5)[0]
    assert found.verdict == "better"


def test_published_limits_of_a_ratio() -> None:
    """DCSTATS, the programs to Colquhoun's "Lectures on Biostatistics": 14 ± 3 over 7 ± 2, t(0.9, 10). GraphPad
    QuickCalcs, "CI of a quotient": 14, SD 3 over 7, SD 2, six values each."""

    def limits(*values: float) -> list[float]:
        return [float(end) for end in fieller(*(np.array(value) for value in values))]

    assert limits(14, 7, 3**2, 2**2, 0, 1.812461) == pytest.approx([1.051413, 4.414296], abs=2e-6)
    assert limits(14, 7, 3**2 / 6, 2**2 / 6, 0, 2.228139) == pytest.approx([1.46, 2.83], abs=0.005)
    assert all(map(math.isnan, limits(1, 1, 0.1, 1, 0, 2.0)))


@pytest.mark.parametrize("values", [(0, 0.05, 1), (1, 0, 1), (1, 0.05, 0)])
def test_a_family_has_arms_a_level_and_a_share(values: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="planned"):
        Family(*values)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        judge([0.1, 0.2], [[0.1], [0.2], [0.3]])
    with pytest.raises(ValueError, match="2 arms of 1 planned"):
        judge([0.1, 0.2], [[0.1, 0.1], [0.2, 0.3]], Family(1))


def test_errors_by_seed_become_a_matrix() -> None:
    matrix = by_seed([0, 3], [{0: 0.1, 3: 0.2}, {3: 0.4}])
    assert matrix.shape == (2, 2)
    assert matrix[1].tolist() == [0.2, 0.4]
    assert math.isnan(matrix[0, 1])


any_errors = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 5e-324, 1e-310, 1e-200, 1e-160, 1e-9, 1.0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(any_errors, min_size=3, max_size=3), min_size=1, max_size=6))
def test_no_answer_is_ever_nan_or_infinite(rows: list[list[float]]) -> None:
    """Neither an overflow, nor a division by zero, nor a number that JSON cannot hold."""
    drawn = np.array(rows)
    for found in judge(drawn[:, 0], drawn[:, 1:]):
        numbers = [found.difference_points, found.improvement_percent, found.p_value, found.p_corrected]
        numbers += [*(found.difference_interval or ()), *(found.improvement_interval or ())]
        assert all(number is None or math.isfinite(number) for number in numbers)


@settings(max_examples=40, deadline=None)
@given(paired_errors, st.integers(-600, 0))
def test_the_unit_of_the_errors_changes_no_verdict(pairs: list[tuple[float, float]], exponent: int) -> None:
    one = one_arm([x for x, _ in pairs], [y for _, y in pairs])
    other = one_arm([math.ldexp(x, exponent) for x, _ in pairs], [math.ldexp(y, exponent) for _, y in pairs])
    assert (one.p_value, one.improvement_percent) == (other.p_value, other.improvement_percent)
    assert (one.verdict, one.improvement_interval) == (other.verdict, other.improvement_interval)
