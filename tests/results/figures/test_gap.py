"""The figure of the best noise over the gap to the teacher."""

import pytest
from support.sheet import OVER_SIGMA, Sheet

from study.results.figures import (
    gap,
)
from study.results.figures.chosen import by_validation
from study.results.table import table_of


def _gap(study: Sheet) -> gap.Gap:
    tracked = study.tracked()
    found = gap.gap_of(tracked, table_of(tracked), by_validation(tracked))
    assert found is not None
    return found


def test_best_noise_is_shown_over_the_gap() -> None:
    """The best σ is drawn over the gap, with a bar over all σ that a test does not distinguish from it."""
    near = {(0, 0): 0.10, (0.2, 0.5): 0.0500, (0.6, 0.5): 0.0501, (1.0, 0.5): 0.09}
    far = {(0, 0): 0.20, (0.2, 0.5): 0.19, (0.6, 0.5): 0.18, (1.0, 0.5): 0.12}
    study = Sheet().grid(far, student="far")
    study.grid(near, student="near")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert [student.name for student in found.students] == ["near", "far"]
    here, there = found.students
    assert here.gap_points == pytest.approx(6.1, abs=0.1)
    assert here.ends(0) == (0.2, 0.6)  # one of them is the best, and the other cannot be told from it
    assert (there.best, there.ends(0)) == ((1.0, 0.5), (1.0, 1.0))
    assert not found.varies_alpha
    title = "The best σ grows with the gap over 2 students; a test distinguishes at least two of them"
    assert gap.sketch(found).title == title


def test_the_baseline_can_be_the_best_setting() -> None:
    harmful = {(0, 0): 0.10, (0.2, 0.5): 0.15, (0.6, 0.5): 0.16}
    study = Sheet().grid(harmful, student="this")
    study.grid(harmful, student="that")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert [student.best for student in found.students] == [(0, 0), (0, 0)]
    assert gap.sketch(found).title.startswith("The best σ is not shown to grow with the gap: σ = 0 ")


def test_with_one_seed_no_setting_is_distinguished() -> None:
    study = Sheet().grid({(0, 0): 0.10, (0.2, 0.5): 0.05, (0.6, 0.1): 0.09}, student="this", seeds=[0])
    study.grid({(0, 0): 0.20, (0.2, 0.5): 0.15, (0.6, 0.1): 0.02}, student="that", seeds=[0])
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert [student.ends(0) for student in found.students] == [(0.0, 0.6), (0.0, 0.6)]
    assert [student.gap_ci95 for student in found.students] == [None, None]
    assert found.varies_alpha
    assert "With one seed no test is possible." in gap.sketch(found).caption


def test_a_student_with_other_settings_is_left_out() -> None:
    study = Sheet().grid(OVER_SIGMA, student="this")
    study.grid(OVER_SIGMA, student="that")
    study.grid(OVER_SIGMA, student="third")
    study.grid({(0.5, 0.5): 0.02}, student="third", noise="frozen")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert sorted(student.name for student in found.students) == ["that", "this"]
    assert found.left_out == ("third",)
