"""A mean and its interval, against SciPy and by simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.coverage import WORLDS, World, coverage, seed_correlation
from study.results.read import TrackedStudy
from study.results.statistics import mean, student_interval

NORMAL_WORLDS = [world for world in WORLDS if not world.skewed]

errors = st.floats(0.001, 0.999)


def test_the_mean_does_not_lose_small_values_beside_large_ones() -> None:
    assert mean([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean([])


@given(st.lists(errors, min_size=2, max_size=12).filter(lambda values: max(values) - min(values) > 1e-6))
def test_the_student_interval_is_that_of_scipy(values: list[float]) -> None:
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert student_interval(values) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[0.01], [0.01, 0.01], [0.0, 0.0, 0.0], [0.1 + 0.2, 0.3]])
def test_a_sample_without_spread_has_no_interval(values: list[float]) -> None:
    assert student_interval(values) is None


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
