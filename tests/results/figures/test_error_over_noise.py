"""The figure of the error over σ or α."""

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from support.sheet import OVER_SIGMA, Sheet

from study.results.figures import error_over_noise, noise_lines
from study.results.table import table_of
from study.tracking import schema


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({(0, 0): 0.1, (0.5, 0.5): 0.09}, []),
        (OVER_SIGMA, ["error-over-sigma"]),
        ({(0, 0): 0.1, (0.5, 0.1): 0.09, (0.5, 0.9): 0.08}, ["error-over-alpha"]),
        (
            {(0, 0): 0.1, (0.1, 0.1): 0.09, (0.5, 0.1): 0.08, (0.1, 0.5): 0.08, (0.5, 0.5): 0.08},
            ["error-over-sigma", "improvement-map", "sigma-alpha-map"],
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
    assert better.title == "1 of 2 σ is better than the baseline, 1 undecided"
    assert "n = 3 seeds" in better.caption


@pytest.mark.parametrize(
    ("verdicts", "title"),
    [
        ("worse worse same", "2 of 3 σ are worse than the baseline, 1 without a difference that matters"),
        ("better worse open open", "1 of 4 σ is better than the baseline, 1 worse, 2 undecided"),
        ("same same", "None of 2 σ is shown to differ from the baseline"),
    ],
)
def test_the_title_has_each_verdict(verdicts: str, title: str) -> None:
    codes = {"same": "no_difference_that_matters", "open": "undecided"}
    rows = [SimpleNamespace(verdict=codes.get(word, word)) for word in verdicts.split()]
    shown: Any = SimpleNamespace(rows=rows, lines=[rows], uniform=(), confirmed=(), axis="sigma")
    assert error_over_noise._finding(shown) == title


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


# --------------------------------------------------------------------------------- relative to the size of the logits


def readings() -> Sheet:
    """Two readings at the same σ; the sizes of their noise differ."""
    study = Sheet().grid({(0, 0): 0.10})
    for form, size in (("multiplicative", 4.0), ("additive", 1.0)):
        for sigma in (0.3, 0.9):
            params: dict[str, Any] = {} if form == "multiplicative" else {"noise_form": form}
            noise = {schema.LOGIT_RMS: 4.0, schema.NOISE_RMS: size * sigma}
            study.grid({(sigma, 0.5): 0.1}, measured=noise, **params)
    return study


def test_readings_are_drawn_over_the_size_of_their_noise() -> None:
    study = readings()
    assert study.names()[:2] == ["error-over-sigma", "error-over-relative-noise"]
    (found,) = noise_lines.relative_lines_of(table_of(study.tracked()))
    sizes = [[noise_lines.strength(row, "relative_noise") for row in line.rows] for line in found.lines]
    assert sorted(sizes) == [pytest.approx([0.075, 0.225]), pytest.approx([0.3, 0.9])]
    sketch = study.sketches().sketches[1]
    assert "At equal σ the readings have different sizes." in sketch.caption
    assert sketch.draw().axes[0].get_xscale() == "log"


def test_one_reading_has_no_figure_over_the_relative_size() -> None:
    study = Sheet().grid(OVER_SIGMA, measured={schema.LOGIT_RMS: 4.0, schema.NOISE_RMS: 2.0})
    assert study.names() == ["error-over-sigma"]


def test_without_measured_noise_there_is_no_relative_size() -> None:
    study = Sheet().grid(OVER_SIGMA)
    study.grid({(0.1, 0.5): 0.10, (0.5, 0.5): 0.12}, noise="frozen")
    assert study.names() == ["error-over-sigma", "improvement-map"]
    (row, *_) = [row for row in table_of(study.tracked()).rows if row.arm.role == "arm"]
    with pytest.raises(ValueError, match="no value on the axis relative_noise"):
        noise_lines.strength(row, "relative_noise")
