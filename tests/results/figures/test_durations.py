"""The figure of training times."""

import pytest
from support.sheet import Sheet

from study.results.figures import (
    durations,
)


def test_learning_curves_need_histories_and_time_needs_seconds() -> None:
    study = Sheet()
    study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5, history=[0.3])
    assert study.names() == []  # one epoch is no curve
    study.train(0, 0.1, 0.1, role="baseline", history=[0.3, 0.1])
    assert study.names() == ["learning-curves"]
    study.train(1, 0.1, 0.1, role="baseline", seconds=12.0)
    assert study.names() == ["learning-curves", "where-time-went"]


def test_time_is_summed_by_stage() -> None:
    """Time is summed by stage, and the wall time spans all runs."""
    study = Sheet()
    study.train(0, 0.1, 0.1, role="baseline", seconds=100.0)
    study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5, seconds=200.0)
    study.train(9, 0.1, stage="search", sigma=0.5, alpha=0.5, seconds=3300.0)
    found = durations.durations_of(study.tracked())
    assert found is not None
    assert found.of_trials == {"grid": (100.0, 200.0), "search": (3300.0,)}
    assert found.wall == pytest.approx(2.5)  # three runs that begin a second apart, the last of them half a second long
    assert durations.sketch(found).title == "Search took 92 % of 60 min of training, done in 2.5 s"
