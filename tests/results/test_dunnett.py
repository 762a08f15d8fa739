"""Dunnett's distribution against his tables and against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from study.results.dunnett import critical_t, critical_ts, p_of_largest

# Two-sided 5 % points for 1 to 9 treatments and a control: Dunnett, "New tables for multiple comparisons with a
# control", Biometrics 20 (1964), table II.
PUBLISHED = {
    5: (2.57, 3.03, 3.29, 3.48, 3.62, 3.73, 3.82, 3.90, 3.97),
    6: (2.45, 2.86, 3.10, 3.26, 3.39, 3.49, 3.57, 3.64, 3.71),
    10: (2.23, 2.57, 2.76, 2.89, 2.99, 3.07, 3.14, 3.19, 3.24),
    20: (2.09, 2.38, 2.54, 2.65, 2.73, 2.80, 2.86, 2.90, 2.95),
}


@pytest.mark.parametrize("df", PUBLISHED)
def test_critical_values_are_those_that_dunnett_printed(df: int) -> None:
    assert [critical_t(0.05, df, arms) for arms in range(1, 10)] == pytest.approx(PUBLISHED[df], abs=0.006)


@pytest.mark.parametrize(("df", "arms", "correlation"), [(2.3, 10, 0.5), (6.15, 10, 0.5), (20, 4, 0.3), (9, 6, 0.0)])
def test_p_is_that_of_scipys_multivariate_t(df: float, arms: int, correlation: float) -> None:
    """SciPy's is a random sum, good to about 1e-4 here."""
    shape = np.full((arms, arms), correlation) + (1 - correlation) * np.eye(arms)
    scipys = stats.multivariate_t(shape=shape, df=df, seed=1)  # type: ignore[arg-type]
    inside = scipys.cdf([3.1] * arms, lower_limit=[-3.1] * arms)
    assert p_of_largest(3.1, df, arms, correlation) == pytest.approx(1 - inside, abs=3e-4)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 30), st.floats(1, 200), st.integers(1, 40))
def test_p_lies_between_one_arms_and_bonferronis(t: float, df: float, arms: int) -> None:
    one = 2 * stats.t.sf(t, df)
    assert one - 1e-9 <= p_of_largest(t, df, arms) <= min(1, arms * one) + 1e-9


@pytest.mark.parametrize("arms", [1, 3, 30])
@pytest.mark.parametrize("df", [1.02, 4.0, 31.5])
def test_the_critical_value_has_the_level_as_its_p(df: float, arms: int) -> None:
    for level in (0.05, 0.00125):
        assert p_of_largest(critical_t(level, df, arms), df, arms) == pytest.approx(level, rel=1e-6)


def test_many_critical_values_at_once_are_the_same() -> None:
    many = 1 / np.random.default_rng(1955).uniform(1e-6, 1, 150)
    assert critical_ts(0.05, many, 10) == pytest.approx([critical_t(0.05, float(df), 10) for df in many], rel=1e-6)


def test_the_same_numbers_give_the_same_p_to_the_bit() -> None:
    assert p_of_largest(2.7, 6.15, 10) == p_of_largest(2.7, 6.15, 10)
