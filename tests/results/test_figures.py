"""Pictures of a study: each where there is data for it, and what it says."""

import io
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.handwritten import BASELINE, COMMON, T0

from study.results.figures import (
    compression,
    curves,
    durations,
    gap,
    importance,
    noise_lines,
    trial_map,
)
from study.results.figures.chosen import by_validation
from study.results.figures.material import MAX_STUDENTS, Histories
from study.results.figures.pictures import Sketches, sketches_of
from study.results.figures.style import COLOURS, DOTS_PER_INCH, WIDTH, line_look, theme
from study.results.history import read_histories
from study.results.read import TrackedStudy, read_study
from study.results.table import table_of
from study.results.wording import plain
from study.tracking import schema

pytest_plugins = ("support.handwritten",)

Setting = tuple[float, float]
SEEDS = (0, 1, 2)


class Sheet:
    """A study written down in the shape in which `study.results.read` gives it."""

    def __init__(self, **params: str) -> None:
        self._params = params
        self._trials: list[dict[str, object]] = []
        self._teachers: list[dict[str, object]] = []
        self._histories: dict[str, pd.Series[float]] = {}

    def train(
        self,
        seed: int,
        val: float | None,
        test: float | None = None,
        *,
        role: str = "arm",
        stage: str = "grid",
        outcome: str = "completed",
        seconds: float | None = None,
        history: Sequence[float] = (),
        **params: Any,
    ) -> str:
        """One finished training; trainings begin a second apart and last half a second."""
        began = T0 + 1000 * len(self._trials)
        run_id = f"run-{len(self._trials):04}"
        known = {schema.BEST_VAL_ERROR: val, schema.TEST_ERROR: test, schema.TRAIN_SECONDS: seconds}
        settings = {**COMMON, **(BASELINE if role == "baseline" else {}), **params, "seed": seed}
        self._trials.append(
            {
                "run_id": run_id,
                "status": "FINISHED",
                "start_time": began,
                "end_time": began + 500,
                **{f"params.{name}": str(value) for name, value in settings.items()},
                **{f"metrics.{name}": value for name, value in known.items() if value is not None},
                f"tags.{schema.ROLE}": role,
                f"tags.{schema.STAGE}": stage,
                f"tags.{schema.OUTCOME}": outcome,
            }
        )
        if history:
            self._histories[run_id] = pd.Series(list(history), index=range(1, len(history) + 1))
        return run_id

    def grid(self, means: Mapping[Setting, float], *, seeds: Sequence[int] = SEEDS, **params: Any) -> "Sheet":
        """Mean errors by (σ, α), the baseline's under (0, 0), with a small spread between seeds."""
        for (sigma, alpha), mean in means.items():
            noise = {"sigma": sigma, "alpha": alpha} if sigma else {}
            for seed in seeds:
                chance = np.random.default_rng([seed, round(100 * sigma), round(100 * alpha)])
                error = mean + 0.001 * seed + chance.normal(scale=1e-4)
                self.train(seed, error, error, role="arm" if sigma else "baseline", **{**params, **noise})
        return self

    def teacher(self, network: str, error: float, **params: str) -> "Sheet":
        settings = {f"params.{name}": value for name, value in {"teacher": network, **params}.items()}
        self._teachers.append({**settings, f"metrics.{schema.TEST_ERROR}": error})
        return self

    def tracked(self) -> TrackedStudy:
        columns = ["run_id", "status", "start_time", "end_time"]
        columns += [f"tags.{tag}" for tag in (schema.ROLE, schema.STAGE, schema.OUTCOME)]
        trials = pd.DataFrame(self._trials) if self._trials else pd.DataFrame(columns=columns, dtype="str")
        return TrackedStudy("sheet", trials, pd.DataFrame(self._teachers), self._params, {}, "FINISHED")

    def histories(self, run_ids: Sequence[str], metric: str) -> Histories:
        assert metric == schema.VAL_ERROR
        return {run_id: self._histories[run_id] for run_id in run_ids if run_id in self._histories}

    def sketches(self) -> Sketches:
        tracked = self.tracked()
        return sketches_of(tracked, table_of(tracked), by_validation(tracked), self.histories)

    def names(self) -> list[str]:
        """Of its pictures."""
        return [sketch.name for sketch in self.sketches().sketches]


OVER_SIGMA = {(0, 0): 0.10, (0.1, 0.5): 0.11, (0.5, 0.5): 0.09}

# ------------------------------------------------------------------------------------- each where there is data for it


def test_a_study_without_trials_has_no_pictures() -> None:
    assert Sheet().names() == []


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
def test_errors_are_drawn_over_what_was_swept(
    means: Mapping[tuple[float, float], float],
    expected: list[str],
) -> None:
    assert Sheet().grid(means).names() == expected


def test_both_kinds_of_noise_stand_in_one_picture() -> None:
    study = Sheet().grid(OVER_SIGMA)
    study.grid({(0.1, 0.5): 0.10, (0.5, 0.5): 0.12}, method="noisy_student")
    (only,) = study.sketches().sketches
    assert only.name == "teacher-or-student-noise"
    assert only.title == (
        "Noise in the teacher has the lower mean error at 1 σ, noise in the student at 1"
    )  # 0.11 against 0.10 at σ = 0.1, 0.09 against 0.12 at σ = 0.5


def test_cost_figure_shows_error_and_gap() -> None:
    """Students of different cost are plotted against their cost, and against their gap."""
    study = Sheet().grid(OVER_SIGMA, student="large", multiplications=2_000_000)
    assert "error-against-compression" not in study.names()  # one student has nothing to be compared with
    study.teacher("lenet-mnist", 0.05)
    study.grid(OVER_SIGMA, student="small", multiplications=500_000)
    assert study.names() == [
        "error-over-sigma-1",
        "error-over-sigma-2",
        "error-against-compression",
        "best-noise-over-gap",
    ]


def test_students_of_one_cost_are_not_set_against_it() -> None:
    study = Sheet().grid(OVER_SIGMA, student="this")
    study.grid(OVER_SIGMA, student="that")
    assert study.names() == ["error-over-sigma-1", "error-over-sigma-2"]  # nor is a gap known without a teacher's error


def test_learning_curves_need_histories_and_time_needs_seconds() -> None:
    study = Sheet()
    study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5, history=[0.3])
    assert study.names() == []  # one epoch is no curve
    study.train(0, 0.1, 0.1, role="baseline", history=[0.3, 0.1])
    assert study.names() == ["learning-curves"]
    study.train(1, 0.1, 0.1, role="baseline", seconds=12.0)
    assert study.names() == ["learning-curves", "where-time-went"]


def test_importances_need_twenty_completed_search_trials() -> None:
    study = Sheet()
    for number in range(19):
        study.train(9, 0.1 + number / 100, stage="search", sigma=0.1 * number, alpha=(number * 7 % 19) / 19)
    study.train(9, 0.2, stage="search", outcome="pruned", sigma=0.55, alpha=0.55)
    assert study.names() == ["sigma-alpha-map"]
    study.train(9, 0.2, stage="search", sigma=0.66, alpha=0.66)
    assert study.names() == ["sigma-alpha-map", "parameter-importances"]


def test_extra_students_are_named_not_drawn() -> None:
    """Of many students the first have pictures, and the others are named."""
    study = Sheet().grid(OVER_SIGMA, student="net-0")
    for number in range(1, MAX_STUDENTS + 2):
        study.grid(OVER_SIGMA, student=f"net-{number}")
    found = study.sketches()
    assert [sketch.heading for sketch in found.sketches] == [f"Error over σ: net-{n}" for n in range(MAX_STUDENTS)]
    assert found.left_out == ("These students have no figures of their own: net-4, net-5.",)


def test_a_study_off_the_tracking_server_has_its_pictures(mnist: str, uri: str) -> None:
    tracked = read_study(uri, mnist)
    found = sketches_of(
        tracked, table_of(tracked), by_validation(tracked), lambda runs, metric: read_histories(uri, runs, metric)
    )
    assert [sketch.name for sketch in found.sketches] == ["error-over-sigma", "sigma-alpha-map"]
    assert "published single runs, Sau & Balasubramanian (2016)" in found.sketches[0].caption


# -------------------------------------------------------------------------------------------------------- error over σ


def test_error_over_noise_has_arms_baseline_and_published() -> None:
    study = Sheet(published="table-1").grid({(0, 0): 0.01, (0.5, 0.15): 0.009, (0.1, 0.15): 0.011})
    (found,) = noise_lines.noise_lines_of(table_of(study.tracked()))
    (line,) = found.lines
    assert [row.arm.sigma for row in line.rows] == [0.1, 0.5]
    assert [row.published_error_percent for row in line.rows] == [0.96, 0.87]
    assert found.baseline is not None
    assert found.baseline.n == 3


def test_error_over_noise_says_what_the_verdicts_say() -> None:
    better = Sheet().grid({(0, 0): 0.1, (0.1, 0.5): 0.1, (0.5, 0.5): 0.05}).sketches().sketches[0]
    assert better.title == "1 of 2 σ are better than the baseline, the rest are undecided"
    assert "n = 3 seeds" in better.caption


def test_error_over_noise_of_one_seed_claims_nothing() -> None:
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


# ------------------------------------------------------------------------------------------------------- σ × α map


def test_a_map_has_every_trial_by_its_stage_and_fate() -> None:
    study = Sheet()
    study.train(9, 0.12, stage="search", sigma=0.2, alpha=0.3)
    study.train(9, 0.11, stage="search", sigma=0.4, alpha=0.6)
    study.train(9, 0.50, stage="search", outcome="pruned", sigma=1.9, alpha=0.9)
    study.train(9, None, stage="search", outcome="diverged", sigma=2.0, alpha=1.0)
    for seed in SEEDS:
        study.train(seed, 0.10 + seed / 100, 0.1, sigma=0.4, alpha=0.6, stage="confirm")
        study.train(seed, 0.20 + seed / 100, 0.1, sigma=0.1, alpha=0.5)
    (found,) = trial_map.maps_of(study.tracked())
    assert [spot.val_error for spot in found.of("completed", "search")] == [0.12, 0.11]
    (gridded,) = found.of("completed", "grid")
    assert gridded.n == 3
    assert gridded.val_error == pytest.approx(0.21)
    assert [(spot.sigma, spot.alpha) for spot in found.of("pruned", "search")] == [(1.9, 0.9)]
    assert [(spot.sigma, spot.alpha) for spot in found.of("failed", "search")] == [(2.0, 1.0)]
    assert [(spot.sigma, spot.n) for spot in found.of("completed", "confirm")] == [(0.4, 3)]
    shown = trial_map.sketch(found, several=False)
    assert shown.title == "Lowest validation error, 11.00 %, at σ = 0.4, α = 0.6"
    assert "Crosses: 1 trial stopped early" in shown.caption


def test_trials_of_the_baselines_own_search_are_not_on_the_map() -> None:
    study = Sheet()
    for number in range(5):
        study.train(9, 0.1, role="baseline", stage="search", lr=0.001 * (number + 1))
    assert study.names() == []


# ------------------------------------------------------------------------------------------------- error and its price


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


# --------------------------------------------------------------------------------------------- best noise and the gap


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


def test_no_noise_is_one_of_the_settings_to_choose_from() -> None:
    harmful = {(0, 0): 0.10, (0.2, 0.5): 0.15, (0.6, 0.5): 0.16}
    study = Sheet().grid(harmful, student="this")
    study.grid(harmful, student="that")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert [student.best for student in found.students] == [(0, 0), (0, 0)]
    assert gap.sketch(found).title.startswith("The best σ is not shown to grow with the gap: σ = 0 ")


def test_with_one_seed_nothing_is_told_apart() -> None:
    study = Sheet().grid({(0, 0): 0.10, (0.2, 0.5): 0.05, (0.6, 0.1): 0.09}, student="this", seeds=[0])
    study.grid({(0, 0): 0.20, (0.2, 0.5): 0.15, (0.6, 0.1): 0.02}, student="that", seeds=[0])
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert [student.ends(0) for student in found.students] == [(0.0, 0.6), (0.0, 0.6)]
    assert [student.gap_ci95 for student in found.students] == [None, None]
    assert found.varies_alpha
    assert "With one seed no test is possible." in gap.sketch(found).caption


def test_a_student_trained_in_two_ways_is_left_out_of_the_gap() -> None:
    study = Sheet().grid(OVER_SIGMA, student="this")
    study.grid(OVER_SIGMA, student="that")
    study.grid(OVER_SIGMA, student="third")
    study.grid({(0.5, 0.5): 0.02}, student="third", noise="frozen")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(study)
    assert sorted(student.name for student in found.students) == ["that", "this"]
    assert found.left_out == ("third",)


# ----------------------------------------------------------------------------------------------------- learning curves


def test_a_curve_is_the_mean_of_an_arms_seeds_as_far_as_all_came() -> None:
    study = Sheet()
    study.train(0, 0.1, 0.1, role="baseline", history=[0.4, 0.2, 0.1])
    study.train(1, 0.1, 0.1, role="baseline", history=[0.6, 0.4])
    (plan,) = curves.plans_of(study.tracked())
    found = curves.curves_of(plan, study.histories(plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    (curve,) = found.curves
    assert curve.label == "baseline"
    assert list(curve.errors.mean(axis="columns")) == pytest.approx([0.5, 0.3])


def test_of_many_arms_the_best_the_first_and_the_last_are_shown() -> None:
    study = Sheet()
    study.train(0, 0.2, 0.1, role="baseline", history=[0.4, 0.2])
    for number in range(1, 21):
        study.train(0, 0.05 if number == 7 else 0.1, 0.1, sigma=number / 10, alpha=0.5, history=[0.4, 0.2])
    (plan,) = curves.plans_of(study.tracked())
    found = curves.curves_of(plan, study.histories(plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    labels = [curve.label for curve in found.curves]
    assert len(labels) == 1 + curves.MAX_ARMS
    assert {"baseline", "σ = 0.1", "σ = 0.7", "σ = 2"} <= set(labels)
    assert found.left_out == 20 - curves.MAX_ARMS
    assert "Left out: 15 arms." in curves.sketch(found, several=False).caption


def test_of_a_seed_that_was_trained_twice_the_later_is_shown() -> None:
    study = Sheet()
    study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5)
    later = study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5)
    (plan,) = curves.plans_of(study.tracked())
    assert plan.run_ids == [later]


def test_an_arm_of_very_many_seeds_asks_for_few_histories() -> None:
    study = Sheet()
    for seed in range(curves.MAX_SEEDS + 5):
        study.train(seed, 0.1, 0.1, sigma=0.5, alpha=0.5)
    (plan,) = curves.plans_of(study.tracked())
    assert len(plan.run_ids) == curves.MAX_SEEDS


# ------------------------------------------------------------------------------------------------ importances and time


def test_the_parameter_that_decides_has_most_of_the_importance() -> None:
    study, chance = Sheet(), np.random.default_rng(0)
    for _ in range(40):
        sigma, alpha = chance.uniform(0.01, 2), chance.uniform(0, 1)
        study.train(9, 0.1 + (sigma - 0.5) ** 2 / 10, stage="search", sigma=sigma, alpha=alpha)
    found = importance.importances_of(study.tracked())
    assert found is not None
    assert list(found.shares) == ["sigma", "alpha"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["sigma"] > 0.7
    assert (found.trials, found.quantile) == (40, 0.125)


def test_importances_handle_words_and_gaps() -> None:
    """Importances handle parameters whose values are words and parameters that some trials lack."""
    study = Sheet()
    for number in range(30):
        more: dict[str, Any] = {"momentum": 0.1 * (number % 9)} if number % 2 else {}
        optimizer = "sgd" if number % 2 else "adam"
        study.train(9, 0.3 - 0.2 * (number % 2), stage="search", sigma=0.5, alpha=0.5, optimizer=optimizer, **more)
    found = importance.importances_of(study.tracked())
    assert found is not None
    assert set(found.shares) == {"optimizer", "momentum"}


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


# -------------------------------------------------------------------------------------------------- what is drawn of it

HOSTILE = '</svg><script>alert("1")</script> $\\frac{1$ --> \n & <b>' + "x" * 300


def _everything() -> Sheet:
    """A study that has every kind of picture, with a student's name that would break most of them."""
    study = Sheet(published="table-1")
    study.teacher("lenet-mnist", 0.05)
    for student, cost in ((HOSTILE, 2_000_000), ("small", 500_000)):
        where: dict[str, Any] = {"student": student, "multiplications": cost}
        study.grid(OVER_SIGMA, **where)
        study.grid({(0.1, 0.5): 0.10, (0.5, 0.5): 0.12}, method="noisy_student", **where)
        study.grid({(0.1, 0.9): 0.10, (0.5, 0.9): 0.12}, **where)
        study.train(0, 0.1, 0.1, sigma="[0.01, 1.0]", sigma_mode="uniform", alpha=0.9, student=student)
    for number in range(24):
        outcome = ("completed", "completed", "completed", "pruned", "diverged")[number % 5]
        settings: dict[str, Any] = {"sigma": 0.05 * (number + 1), "alpha": (number * 7 % 24) / 24, "a $ x": number % 3}
        study.train(9, 0.1 + number / 100, stage="search", outcome=outcome, student=HOSTILE, seconds=3.0, **settings)
        study.train(9, 0.1 + number / 100, stage="search", sigma=number / 9, alpha=0.5, student=HOSTILE)
    for seed in SEEDS:
        study.train(seed, 0.1, 0.1, stage="confirm", sigma=0.33, alpha=0.4, student=HOSTILE, history=[0.3, 0.2, 0.1])
    return study


def test_every_kind_is_drawn_reproducibly() -> None:
    """Every kind of figure is drawn whatever the names, and a second drawing has the same bytes."""
    once, again = _everything().sketches().finish().pictures, _everything().sketches().sketches
    assert [picture.name for picture in once] == [
        "teacher-or-student-noise-1",
        "error-over-sigma-1",
        "teacher-or-student-noise-2",
        "error-over-sigma-2",
        *(f"sigma-alpha-map-{number}" for number in (1, 2)),
        "error-against-compression",
        "best-noise-over-gap",
        "learning-curves",
        "parameter-importances",
        "where-time-went",
    ]
    for picture, sketch in list(zip(once, again, strict=True))[::3]:
        assert sketch.finish() == picture
    for picture in once:
        assert re.search(r"n = \d", picture.caption), picture.name
        assert "script" not in picture.svg
        assert "<!--" not in picture.svg
        assert Image.open(io.BytesIO(picture.png)).width == WIDTH * DOTS_PER_INCH

    inlined = [picture.inline() for picture in once]
    ids = [found for svg in inlined for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in inlined:
        assert svg.startswith("<svg ")
        assert "http" not in svg
        references = re.findall(r'(?:href="|url\()#([^")]+)', svg)
        assert references
        assert set(references) <= set(ids)
        assert "var(--figure-ink)" in svg
        for light, _ in COLOURS.values():
            assert light not in svg


def test_a_picture_of_very_many_trials_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    study = Sheet()
    for number in range(30):
        study.train(9, 0.1 + number / 100, stage="search", sigma=number / 10, alpha=number % 7 / 7)
    (found,) = trial_map.maps_of(study.tracked())
    assert "<image" not in trial_map.sketch(found, several=False).finish().svg
    monkeypatch.setattr(trial_map, "MANY", 30)
    assert "<image" in trial_map.sketch(found, several=False).finish().svg


@given(st.text())
def test_a_name_is_drawn_in_one_short_line(name: str) -> None:
    shown = plain(name)
    assert len(shown) <= 40
    assert not shown or shown.isprintable()


# ------------------------------------------------------------------------------------------------------------- the look


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, "relative luminance")."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_is_written_has_the_contrast_that_reading_needs(dark: bool) -> None:
    colours = theme(dark)
    for name in ("ink", "muted"):
        pair = sorted(_luminance(colours[f"--figure-{which}"]) for which in (name, "surface"))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_lines_of_a_picture_differ_in_colour_and_without_it() -> None:
    looks = [line_look(index) for index in range(noise_lines.MAX_LINES)]
    assert len({look["color"] for look in looks}) == len(looks)
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == len(looks)


def test_matplotlib_is_not_loaded_before_something_is_drawn() -> None:
    program = "import sys, study.results.report, study.results.figures; print('matplotlib' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
