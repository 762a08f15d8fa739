"""The trend over σ: what it finds in studies whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from study.results.trend import trend

SIGMA = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6])


def drawn(
    rng: np.random.Generator, seeds: int, gain: np.ndarray, spread: float = 0.002
) -> tuple[np.ndarray, np.ndarray]:
    """A baseline's and the arms' errors; `gain` is the true improvement of each arm."""
    shared = 0.1 + rng.normal(0, 0.005, (seeds, 1))
    errors = shared + rng.normal(0, spread, (seeds, 1 + len(gain)))
    errors[:, 1:] -= gain
    return errors[:, 0], errors[:, 1:]


def peak(at: float, height: float = 0.01) -> np.ndarray:
    return np.asarray(height - 0.004 * np.log(SIGMA / at) ** 2)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("spreads", [[1] * 6, [1, 1.5, 2, 2.5, 3, 4], [1] * 5 + [4]], ids=["equal", "grows", "one"])
def test_flat_studies_are_named_in_5_of_100(seeds: int, spreads: list[float]) -> None:
    """A baseline that is worse than all arms alike is no trend."""
    rng = np.random.default_rng(seeds)
    named = 0
    for _ in range(500):
        baseline, arms = drawn(rng, seeds, np.full(6, 0.01))
        arms += rng.normal(0, 0.002, arms.shape) * np.sqrt(np.square(spreads) - 1)
        found = trend(baseline, arms, list(SIGMA))
        assert found is not None
        named += found.p_flat < 0.05
    assert 0.005 <= named / 500 <= 0.08


def test_the_interval_of_the_best_sigma_holds_it() -> None:
    rng = np.random.default_rng(1)
    found = [trend(*drawn(rng, 8, peak(0.3)), list(SIGMA)) for _ in range(300)]
    intervals = [each.best_interval for each in found if each is not None and each.best_interval is not None]
    assert len(intervals) > 250
    assert np.mean([low <= 0.3 <= high for low, high in intervals]) >= 0.92


def test_a_best_sigma_outside_of_the_range_is_not_given() -> None:
    rng = np.random.default_rng(2)
    found = trend(*drawn(rng, 10, peak(5.0)), list(SIGMA))
    assert found is not None
    assert found.p_flat < 0.001
    assert (found.best, found.best_interval) == (None, None)


def test_a_valley_of_the_improvement_has_no_best_sigma() -> None:
    rng = np.random.default_rng(3)
    found = trend(*drawn(rng, 10, -peak(0.3)), list(SIGMA))
    assert found is not None
    assert found.best is None


def test_the_band_holds_the_curve_where_it_is_looked_at() -> None:
    rng = np.random.default_rng(11)
    inside = []
    for _ in range(800):
        found = trend(*drawn(rng, 6, peak(0.3)), list(SIGMA))
        assert found is not None
        _, low, high = found.band([0.2])
        inside.append(low[0] <= peak(0.3)[2] <= high[0])
    assert 0.92 <= np.mean(inside) <= 0.98


def test_the_parabola_is_the_least_squares_fit() -> None:
    rng = np.random.default_rng(5)
    baseline, arms = drawn(rng, 5, peak(0.3))
    found = trend(baseline, arms, list(SIGMA))
    assert found is not None
    expected = np.polyfit(np.log(SIGMA), (baseline[:, None] - arms).mean(axis=0), 2)[::-1]
    assert found.slopes[1] == pytest.approx(expected[2])
    assert found.band(SIGMA)[0] == pytest.approx(np.polyval(expected[::-1], np.log(SIGMA)))


def test_the_pooled_test_is_the_f_test_of_blocks() -> None:
    """By hand: seeds as levels, with and without the parabola; arms of equal spread by construction."""
    rng = np.random.default_rng(6)
    baseline, arms = drawn(rng, 6, peak(0.3))
    d, x = baseline[:, None] - arms, np.log(SIGMA)
    blocks = np.kron(np.eye(6), np.ones((6, 1)))
    full = np.column_stack([blocks, np.tile(x, 6), np.tile(x**2, 6)])

    def left(columns: np.ndarray) -> float:
        return float(np.sum((d.ravel() - columns @ np.linalg.lstsq(columns, d.ravel(), rcond=None)[0]) ** 2))

    f = (left(blocks) - left(full)) / 2 / (left(full) / 28)
    found = trend(baseline, arms, list(SIGMA))
    assert found is not None
    pooled = found.estimates[0]
    assert pooled.df == 28
    assert found.slopes @ np.linalg.solve(pooled.covariance, found.slopes) / 2 == pytest.approx(f)
    assert found.p_flat >= stats.f.sf(f, 2, 28)


def test_seeds_without_every_arm_are_left_out() -> None:
    rng = np.random.default_rng(7)
    baseline, arms = drawn(rng, 6, peak(0.3))
    arms[0, 2] = np.nan
    found = trend(baseline, arms, list(SIGMA))
    assert found is not None
    assert found.n == 5
    assert trend(baseline[:3], arms[:3], list(SIGMA)) is None
    assert trend(baseline, arms[:, :2], list(SIGMA[:2])) is None
