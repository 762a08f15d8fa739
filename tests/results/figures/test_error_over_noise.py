"""The figure of the error over σ or α."""

import re
from collections.abc import Mapping

import pytest
from support.sheet import OVER_SIGMA, Sheet

from study.results.figures import (
    noise_lines,
)
from study.results.table import table_of


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({(0, 0): 0.1, (0.5, 0.5): 0.09}, []),
        (OVER_SIGMA, ["error-over-sigma"]),
        ({(0, 0): 0.1, (0.5, 0.1): 0.09, (0.5, 0.9): 0.08}, ["error-over-alpha"]),
        (
            {(0, 0): 0.1, (0.1, 0.1): 0.09, (0.5, 0.1): 0.08, (0.1, 0.5): 0.08, (0.5, 0.5): 0.08},
            ["error-over-sigma", "sigma-alpha-map"],
        ),
    ],
    ids=["one point", "several σ", "several α", "several of both"],
)
def test_the_figure_is_over_the_setting_that_varies(
    means: Mapping[tuple[float, float], float],
    expected: list[str],
) -> None:
    assert Sheet().grid(means).names() == expected


def test_both_kinds_of_noise_are_in_one_figure() -> None:
    study = Sheet().grid(OVER_SIGMA)
    study.grid({(0.1, 0.5): 0.10, (0.5, 0.5): 0.12}, method="noisy_student")
    (only,) = study.sketches().sketches
    assert only.name == "teacher-or-student-noise"
    assert only.title == (
        "Noise in the teacher has the lower mean error at 1 σ, noise in the student at 1"
    )  # 0.11 against 0.10 at σ = 0.1, 0.09 against 0.12 at σ = 0.5


def test_error_over_noise_has_arms_baseline_and_published() -> None:
    study = Sheet(published="table-1").grid({(0, 0): 0.01, (0.5, 0.15): 0.009, (0.1, 0.15): 0.011})
    (found,) = noise_lines.noise_lines_of(table_of(study.tracked()))
    (line,) = found.lines
    assert [row.arm.sigma for row in line.rows] == [0.1, 0.5]
    assert [row.published_error_percent for row in line.rows] == [0.96, 0.87]
    assert found.baseline is not None
    assert found.baseline.n == 3


def test_the_title_counts_the_verdicts() -> None:
    better = Sheet().grid({(0, 0): 0.1, (0.1, 0.5): 0.1, (0.5, 0.5): 0.05}).sketches().sketches[0]
    assert better.title == "1 of 2 σ are better than the baseline, the rest are undecided"
    assert "n = 3 seeds" in better.caption


def test_with_one_seed_the_title_names_no_verdict() -> None:
    (only,) = Sheet().grid(OVER_SIGMA, seeds=[0]).sketches().sketches
    assert re.fullmatch(r"Lowest error 9\.0. %; nothing is tested \(one seed: no interval\)", only.title)
    assert "n = 1 seed a point, so no intervals" in only.caption


def test_very_wide_interval_is_cut() -> None:
    """An interval far wider than the others is cut, and the caption says so."""
    study = Sheet().grid({(0, 0): 0.10, (0.1, 0.5): 0.11, (0.3, 0.5): 0.10, (0.5, 0.5): 0.09})
    for seed, error in enumerate((0.01, 0.30)):
        study.train(seed, error, error, sigma=0.7, alpha=0.5)
    (only,) = study.sketches().sketches
    assert "1 interval reaches beyond the figure" in only.caption


def test_single_published_error_is_not_a_curve() -> None:
    """The one published error of Table 6 is not called a curve."""
    study = Sheet(published="table-6").grid(OVER_SIGMA, dataset="cifar10", student="student3", teacher="nin")
    (only,) = study.sketches().sketches
    assert "the only published error, the best of several σ on the test set" in only.caption
