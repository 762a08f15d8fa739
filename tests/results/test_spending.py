"""The level of a study is divided over its looks."""

import numpy as np
import pytest
from scipy import stats

from study.results.spending import levels, spent


def test_one_look_has_the_whole_level() -> None:
    assert levels((5,), 0.05) == pytest.approx((0.05,))


def test_five_equal_looks_have_the_published_limits() -> None:
    """Reboussin, DeMets, Kim and Lan (2000) print these limits for the spending function like Pocock's."""
    found = [stats.norm.isf(level / 2) for level in levels((4, 8, 12, 16, 20), 0.05)]
    assert found == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=1e-3)


@pytest.mark.parametrize("rounds", [(3, 5, 8, 12, 20), (5, 8), (1, 2, 3, 200)])
def test_as_much_is_spent_by_each_look_as_was_planned(rounds: tuple[int, ...]) -> None:
    """Measured on 200,000 random walks that look at every round."""
    rng = np.random.default_rng(3)
    steps = np.sqrt(np.diff([0, *rounds])) * rng.normal(0, 1, (200_000, len(rounds)))
    z = steps.cumsum(axis=1) / np.sqrt(rounds)
    limits = stats.norm.isf(np.array(levels(rounds, 0.05)) / 2)
    rejected = np.logical_or.accumulate(np.abs(z) > limits, axis=1).mean(axis=0)
    assert rejected == pytest.approx([0.05 * spent(n / rounds[-1]) for n in rounds], abs=2e-3)


def test_each_level_is_below_5_percent_and_their_sum_above() -> None:
    found = levels((3, 5, 8, 12, 20), 0.05)
    assert max(found) < 0.05 < sum(found)


@pytest.mark.parametrize("rounds", [(), (0, 3), (3, 3), (5, 3)])
def test_rounds_that_do_not_ascend_are_refused(rounds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        levels(rounds, 0.05)
