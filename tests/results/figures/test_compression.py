"""The figure of the error over compression."""

from typing import Any

import pytest
from support.sheet import OVER_SIGMA, SEEDS, Sheet

from study.results.figures import (
    compression,
)
from study.results.figures.chosen import by_validation
from study.results.table import table_of


def test_students_of_equal_cost_have_no_such_figure() -> None:
    study = Sheet().grid(OVER_SIGMA, student="this")
    study.grid(OVER_SIGMA, student="that")
    assert study.names() == ["error-over-sigma-1", "error-over-sigma-2"]  # nor is a gap known without a teacher's error


def test_the_front_is_of_the_arms_that_validation_chose() -> None:
    study = Sheet()
    for student, cost, offset in (("large", 2_000_000, 0.0), ("small", 500_000, 0.02)):
        where: dict[str, Any] = {"student": student, "multiplications": cost}
        for seed in SEEDS:
            study.train(seed, 0.10 + offset, 0.10 + offset, role="baseline", **where)
            study.train(seed, 0.09 + offset, 0.09 + offset, sigma=0.1, alpha=0.5, **where)
            # The lowest test error, but not by validation: a lucky one.
            study.train(seed, 0.11 + offset, 0.05 + offset, sigma=0.5, alpha=0.5, **where)
    tracked = study.tracked()
    table = table_of(tracked)
    found = compression.compression_of(table, by_validation(tracked))
    assert found is not None
    assert [student.name for student in found.students] == ["large", "small"]
    assert [student.chosen.arm.sigma for student in found.students if student.chosen] == [0.1, 0.1]
    assert [ratio for ratio, _ in found.front] == pytest.approx([1.1465, 4.586])
    assert [error for _, error in found.front] == pytest.approx([0.09, 0.11])


def test_dominated_student_is_not_on_the_front() -> None:
    """A student that costs more and errs more is not on the front."""
    study = Sheet().grid(OVER_SIGMA, student="small", multiplications=500_000)
    study.grid({point: error + 0.1 for point, error in OVER_SIGMA.items()}, student="large", multiplications=10**6)
    tracked = study.tracked()
    found = compression.compression_of(table_of(tracked), by_validation(tracked))
    assert found is not None
    assert [ratio for ratio, _ in found.front] == [pytest.approx(4.586)]
