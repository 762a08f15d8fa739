"""Pictures of a study: each where there is data for it, and what it says."""

import io
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handwritten import BASELINE, COMMON, T0, Writer
from mlflow import MlflowClient
from mlflow.entities import Metric
from PIL import Image

from study.results.figures import compression, curves, durations, gap, importance, sweep, trial_map
from study.results.figures.chosen import by_validation
from study.results.figures.pictures import MAX_STUDENTS, Sketches, sketches_of
from study.results.figures.style import COLOURS, DOTS_PER_INCH, WIDTH, line_look, theme
from study.results.history import read_histories
from study.results.read import read_study
from study.results.table import Table, table_of
from study.tracking import schema

pytest_plugins = ("handwritten",)

NewStudy = Callable[..., Writer]
Train = Callable[..., str]

SEEDS = (0, 1, 2)


@pytest.fixture
def train(client: MlflowClient) -> Train:
    """Writes one finished training with a validation error of its own."""

    def write(
        study: Writer,
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
        tags = {schema.KIND: "trial", schema.PARENT: study.parent, schema.ROLE: role, schema.STAGE: stage}
        known = {schema.BEST_VAL_ERROR: val, schema.TEST_ERROR: test, schema.TRAIN_SECONDS: seconds}
        run = study.run(
            {**tags, schema.OUTCOME: outcome},
            {**COMMON, **(BASELINE if role == "baseline" else {}), **params, "seed": seed},
            {name: value for name, value in known.items() if value is not None},
        )
        points = [Metric(schema.VAL_ERROR, value, T0 + epoch, epoch) for epoch, value in enumerate(history, start=1)]
        client.log_batch(run, metrics=points)
        return run

    return write


@pytest.fixture
def grid(new_study: NewStudy, train: Train) -> Callable[..., Writer]:
    """Writes a study of baselines and noisy teachers: mean errors by (σ, α), the baseline's under (0, 0)."""

    def write(
        means: Mapping[tuple[float, float], float],
        *,
        study: Writer | None = None,
        seeds: Sequence[int] = SEEDS,
        published: str | None = None,
        **params: Any,
    ) -> Writer:
        study = study or (new_study() if published is None else new_study(published=published))
        for (sigma, alpha), mean in means.items():
            role = "baseline" if sigma == 0 else "arm"
            noise = {} if sigma == 0 else {"sigma": sigma, "alpha": alpha}
            for seed in seeds:
                # Seeds differ alike in all arms, and a little apart: differences have a small spread.
                error = mean + 0.001 * seed + 0.0001 * ((seed * 7 + int(10 * sigma) * 3) % 5)
                train(study, seed, error, error, role=role, **{**params, **noise})
        return study

    return write


@pytest.fixture
def sketched(uri: str) -> Callable[[Writer], Sketches]:
    def make(study: Writer) -> Sketches:
        tracked = read_study(uri, study.name)
        return sketches_of(
            tracked, table_of(tracked), by_validation(tracked), lambda runs, metric: read_histories(uri, runs, metric)
        )

    return make


@pytest.fixture
def names(sketched: Callable[[Writer], Sketches]) -> Callable[[Writer], list[str]]:
    return lambda study: [sketch.name for sketch in sketched(study).sketches]


def _table(uri: str, study: Writer) -> Table:
    return table_of(read_study(uri, study.name))


OVER_SIGMA = {(0, 0): 0.10, (0.1, 0.5): 0.11, (0.5, 0.5): 0.09}

# ------------------------------------------------------------------------------------- each where there is data for it


def test_a_study_without_trials_has_no_pictures(new_study: NewStudy, names: Callable[[Writer], list[str]]) -> None:
    assert names(new_study()) == []


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
    grid: Callable[..., Writer],
    names: Callable[[Writer], list[str]],
    means: Mapping[tuple[float, float], float],
    expected: list[str],
) -> None:
    assert names(grid(means)) == expected


def test_both_kinds_of_noise_stand_in_one_picture(
    grid: Callable[..., Writer], sketched: Callable[[Writer], Sketches]
) -> None:
    study = grid(OVER_SIGMA)
    grid({(0.1, 0.5): 0.10, (0.5, 0.5): 0.12}, study=study, method="noisy_student")
    (only,) = sketched(study).sketches
    assert only.name == "teacher-or-student-noise"
    assert only.title == (
        "Noise in the teacher has the lower mean error at 1 σ, noise in the student at 1"
    )  # 0.11 against 0.10 at σ = 0.1, 0.09 against 0.12 at σ = 0.5


def test_students_of_different_cost_are_set_against_it_and_their_gap(
    grid: Callable[..., Writer], names: Callable[[Writer], list[str]]
) -> None:
    study = grid(OVER_SIGMA, student="large", multiplications=2_000_000)
    assert "error-against-compression" not in names(study)  # one student has nothing to be compared with
    study.teacher("lenet-mnist", 0.05)
    grid(OVER_SIGMA, study=study, student="small", multiplications=500_000)
    assert names(study) == [
        "error-over-sigma-1",
        "error-over-sigma-2",
        "error-against-compression",
        "best-noise-over-gap",
    ]


def test_students_of_one_cost_are_not_set_against_it(
    grid: Callable[..., Writer], names: Callable[[Writer], list[str]]
) -> None:
    study = grid(OVER_SIGMA, student="this")
    grid(OVER_SIGMA, study=study, student="that")
    assert names(study) == ["error-over-sigma-1", "error-over-sigma-2"]  # nor is a gap known without a teacher's error


def test_learning_curves_need_histories_and_time_needs_seconds(
    new_study: NewStudy, train: Train, names: Callable[[Writer], list[str]]
) -> None:
    study = new_study()
    train(study, 0, 0.1, 0.1, sigma=0.5, alpha=0.5, history=[0.3])
    assert names(study) == []  # one epoch is no curve
    train(study, 0, 0.1, 0.1, role="baseline", history=[0.3, 0.1])
    assert names(study) == ["learning-curves"]
    train(study, 1, 0.1, 0.1, role="baseline", seconds=12.0)
    assert names(study) == ["learning-curves", "where-time-went"]


def test_importances_need_twenty_completed_search_trials(
    new_study: NewStudy, train: Train, names: Callable[[Writer], list[str]]
) -> None:
    study = new_study()
    for number in range(19):
        train(study, 9, 0.1 + number / 100, stage="search", sigma=0.1 * number, alpha=(number * 7 % 19) / 19)
    train(study, 9, 0.2, stage="search", outcome="pruned", sigma=0.55, alpha=0.55)
    assert names(study) == ["sigma-alpha-map"]
    train(study, 9, 0.2, stage="search", sigma=0.66, alpha=0.66)
    assert names(study) == ["sigma-alpha-map", "parameter-importances"]


def test_of_many_students_the_first_have_pictures_and_the_others_are_named(
    grid: Callable[..., Writer], sketched: Callable[[Writer], Sketches]
) -> None:
    study = grid(OVER_SIGMA, student="net-0")
    for number in range(1, MAX_STUDENTS + 2):
        grid(OVER_SIGMA, study=study, student=f"net-{number}")
    found = sketched(study)
    assert [sketch.heading for sketch in found.sketches] == [f"Error over σ: net-{n}" for n in range(MAX_STUDENTS)]
    assert found.left_out == ("No pictures of their own for the students net-4, net-5.",)


# -------------------------------------------------------------------------------------------------------- error over σ


def test_a_sweep_has_its_arms_in_order_the_baseline_and_what_is_published(
    grid: Callable[..., Writer], uri: str
) -> None:
    study = grid({(0, 0): 0.01, (0.5, 0.15): 0.009, (0.1, 0.15): 0.011}, published="table-1")
    (found,) = sweep.sweeps_of(_table(uri, study))
    (line,) = found.lines
    assert [row.sigma for row in line.rows] == [0.1, 0.5]
    assert [row.published_error_percent for row in line.rows] == [0.96, 0.87]
    assert found.baseline is not None
    assert found.baseline.n == 3


def test_a_sweep_says_what_the_verdicts_say(
    grid: Callable[..., Writer], sketched: Callable[[Writer], Sketches]
) -> None:
    better = sketched(grid({(0, 0): 0.1, (0.1, 0.5): 0.1, (0.5, 0.5): 0.05})).sketches[0]
    assert better.title == "1 of 2 σ err less than the baseline, the rest are within noise"
    assert "n = 3 seeds" in better.caption


def test_a_sweep_of_one_seed_claims_nothing(
    grid: Callable[..., Writer], sketched: Callable[[Writer], Sketches]
) -> None:
    (only,) = sketched(grid(OVER_SIGMA, seeds=[0])).sketches
    assert only.title == "Lowest error 9.00 %; nothing is tested (one seed: no interval)"
    assert "n = 1 seed a point, so no intervals" in only.caption


def test_an_interval_far_wider_than_the_others_is_cut_and_the_caption_says_so(
    grid: Callable[..., Writer], train: Train, sketched: Callable[[Writer], Sketches]
) -> None:
    study = grid({(0, 0): 0.10, (0.1, 0.5): 0.11, (0.3, 0.5): 0.10, (0.5, 0.5): 0.09})
    for seed, error in enumerate((0.01, 0.30)):
        train(study, seed, error, error, sigma=0.7, alpha=0.5)
    (only,) = sketched(study).sketches
    assert "1 interval reaches beyond the picture" in only.caption


def test_the_one_published_error_of_table_6_is_not_called_a_curve(
    grid: Callable[..., Writer], sketched: Callable[[Writer], Sketches]
) -> None:
    study = grid(OVER_SIGMA, published="table-6", dataset="cifar10", student="student3", teacher="nin")
    (only,) = sketched(study).sketches
    assert "the one published error, the best of several σ on the test set" in only.caption


# ------------------------------------------------------------------------------------------------------- σ × α map


def test_a_map_has_every_trial_by_its_stage_and_fate(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    train(study, 9, 0.12, stage="search", sigma=0.2, alpha=0.3)
    train(study, 9, 0.11, stage="search", sigma=0.4, alpha=0.6)
    train(study, 9, 0.50, stage="search", outcome="pruned", sigma=1.9, alpha=0.9)
    train(study, 9, None, stage="search", outcome="diverged", sigma=2.0, alpha=1.0)
    for seed in SEEDS:
        train(study, seed, 0.10 + seed / 100, 0.1, sigma=0.4, alpha=0.6, stage="confirm")
        train(study, seed, 0.20 + seed / 100, 0.1, sigma=0.1, alpha=0.5)
    (found,) = trial_map.maps_of(read_study(uri, study.name))
    assert [spot.val_error for spot in found.of("completed", "search")] == [0.12, 0.11]
    (gridded,) = found.of("completed", "grid")
    assert (gridded.n, gridded.val_error) == (3, pytest.approx(0.21))
    assert [(spot.sigma, spot.alpha) for spot in found.of("pruned", "search")] == [(1.9, 0.9)]
    assert [(spot.sigma, spot.alpha) for spot in found.of("failed", "search")] == [(2.0, 1.0)]
    assert [(spot.sigma, spot.n) for spot in found.of("completed", "confirm")] == [(0.4, 3)]
    shown = trial_map.sketch(found, several=False)
    assert shown.title == "Lowest validation error, 11.00 %, at σ = 0.4, α = 0.6"
    assert "Crosses: 1 trial stopped early" in shown.caption


def test_trials_of_the_baselines_own_search_are_not_on_the_map(
    new_study: NewStudy, train: Train, names: Callable[[Writer], list[str]]
) -> None:
    study = new_study()
    for number in range(5):
        train(study, 9, 0.1, role="baseline", stage="search", lr=0.001 * (number + 1))
    assert names(study) == []


# ------------------------------------------------------------------------------------------------- error and its price


def test_the_front_is_of_the_arms_that_validation_chose(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    for student, cost, offset in (("large", 2_000_000, 0.0), ("small", 500_000, 0.02)):
        where = {"student": student, "multiplications": cost}
        for seed in SEEDS:
            train(study, seed, 0.10 + offset, 0.10 + offset, role="baseline", **where)
            train(study, seed, 0.09 + offset, 0.09 + offset, sigma=0.1, alpha=0.5, **where)
            # The lowest test error, but not by validation: a lucky one.
            train(study, seed, 0.11 + offset, 0.05 + offset, sigma=0.5, alpha=0.5, **where)
    tracked = read_study(uri, study.name)
    table = table_of(tracked)
    found = compression.compression_of(table, by_validation(tracked))
    assert found is not None
    assert [student.name for student in found.students] == ["large", "small"]
    assert [student.chosen.sigma for student in found.students if student.chosen] == [0.1, 0.1]
    assert found.front == [(pytest.approx(1.1465), pytest.approx(0.09)), (pytest.approx(4.586), pytest.approx(0.11))]


def test_a_student_that_costs_more_and_errs_more_is_not_on_the_front(grid: Callable[..., Writer], uri: str) -> None:
    study = grid(OVER_SIGMA, student="small", multiplications=500_000)
    grid(
        {point: error + 0.1 for point, error in OVER_SIGMA.items()}, study=study, student="large", multiplications=10**6
    )
    tracked = read_study(uri, study.name)
    found = compression.compression_of(table_of(tracked), by_validation(tracked))
    assert found is not None
    assert [ratio for ratio, _ in found.front] == [pytest.approx(4.586)]


# --------------------------------------------------------------------------------------------- best noise and the gap


def _gap(uri: str, study: Writer) -> gap.Gap:
    tracked = read_study(uri, study.name)
    found = gap.gap_of(tracked, table_of(tracked))
    assert found is not None
    return found


def test_the_best_noise_stands_over_the_gap_with_all_that_is_within_noise_of_it(
    grid: Callable[..., Writer], uri: str
) -> None:
    near = {(0, 0): 0.10, (0.2, 0.5): 0.0500, (0.6, 0.5): 0.0501, (1.0, 0.5): 0.09}
    far = {(0, 0): 0.20, (0.2, 0.5): 0.19, (0.6, 0.5): 0.18, (1.0, 0.5): 0.12}
    study = grid(far, student="far")
    grid(near, study=study, student="near")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(uri, study)
    assert [student.name for student in found.students] == ["near", "far"]
    here, there = found.students
    assert here.gap_points == pytest.approx(6.1, abs=0.1)
    assert here.ends(0) == (0.2, 0.6)  # one of them is the best, and the other cannot be told from it
    assert (there.best, there.ends(0)) == ((1.0, 0.5), (1.0, 1.0))
    assert not found.varies_alpha
    assert gap.sketch(found).title == "The best σ grows with the gap over 2 students, beyond noise between at least two"


def test_no_noise_is_one_of_the_settings_to_choose_from(grid: Callable[..., Writer], uri: str) -> None:
    harmful = {(0, 0): 0.10, (0.2, 0.5): 0.15, (0.6, 0.5): 0.16}
    study = grid(harmful, student="this")
    grid(harmful, study=study, student="that")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(uri, study)
    assert [student.best for student in found.students] == [(0, 0), (0, 0)]
    assert gap.sketch(found).title.startswith("No growth of the best σ with the gap is shown: σ = 0 ")


def test_with_one_seed_nothing_is_told_apart(grid: Callable[..., Writer], uri: str) -> None:
    study = grid({(0, 0): 0.10, (0.2, 0.5): 0.05, (0.6, 0.1): 0.09}, student="this", seeds=[0])
    grid({(0, 0): 0.20, (0.2, 0.5): 0.15, (0.6, 0.1): 0.02}, study=study, student="that", seeds=[0])
    study.teacher("lenet-mnist", 0.04)
    found = _gap(uri, study)
    assert [student.ends(0) for student in found.students] == [(0.0, 0.6), (0.0, 0.6)]
    assert [student.gap_ci95 for student in found.students] == [None, None]
    assert found.varies_alpha
    assert "With one seed nothing is told apart." in gap.sketch(found).caption


def test_a_student_trained_in_two_ways_is_left_out_of_the_gap(grid: Callable[..., Writer], uri: str) -> None:
    study = grid(OVER_SIGMA, student="this")
    grid(OVER_SIGMA, study=study, student="that")
    grid(OVER_SIGMA, study=study, student="third")
    grid({(0.5, 0.5): 0.02}, study=study, student="third", noise="frozen")
    study.teacher("lenet-mnist", 0.04)
    found = _gap(uri, study)
    assert sorted(student.name for student in found.students) == ["that", "this"]
    assert found.left_out == ("third",)


# ----------------------------------------------------------------------------------------------------- learning curves


def test_a_curve_is_the_mean_of_an_arms_seeds_as_far_as_all_came(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    train(study, 0, 0.1, 0.1, role="baseline", history=[0.4, 0.2, 0.1])
    train(study, 1, 0.1, 0.1, role="baseline", history=[0.6, 0.4])
    (plan,) = curves.plans_of(read_study(uri, study.name))
    found = curves.curves_of(plan, read_histories(uri, plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    (curve,) = found.curves
    assert curve.label == "baseline"
    assert list(curve.errors.mean(axis="columns")) == pytest.approx([0.5, 0.3])


def test_of_many_arms_the_best_the_first_and_the_last_are_shown(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    train(study, 0, 0.2, 0.1, role="baseline", history=[0.4, 0.2])
    for number in range(1, 21):
        train(study, 0, 0.05 if number == 7 else 0.1, 0.1, sigma=number / 10, alpha=0.5, history=[0.4, 0.2])
    (plan,) = curves.plans_of(read_study(uri, study.name))
    found = curves.curves_of(plan, read_histories(uri, plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    labels = [curve.label for curve in found.curves]
    assert len(labels) == 1 + curves.MAX_ARMS
    assert {"baseline", "σ = 0.1", "σ = 0.7", "σ = 2"} <= set(labels)
    assert found.left_out == 20 - curves.MAX_ARMS
    assert "15 arms left out" in curves.sketch(found, several=False).caption


def test_of_a_seed_that_was_trained_twice_the_later_is_shown(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    train(study, 0, 0.1, 0.1, sigma=0.5, alpha=0.5)
    later = train(study, 0, 0.1, 0.1, sigma=0.5, alpha=0.5)
    (plan,) = curves.plans_of(read_study(uri, study.name))
    assert plan.run_ids == [later]


def test_an_arm_of_very_many_seeds_asks_for_few_histories(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    for seed in range(curves.MAX_SEEDS + 5):
        train(study, seed, 0.1, 0.1, sigma=0.5, alpha=0.5)
    (plan,) = curves.plans_of(read_study(uri, study.name))
    assert len(plan.run_ids) == curves.MAX_SEEDS


# ------------------------------------------------------------------------------------------------ importances and time


def test_the_parameter_that_decides_has_most_of_the_importance(new_study: NewStudy, train: Train, uri: str) -> None:
    study, chance = new_study(), np.random.default_rng(0)
    for _ in range(40):
        sigma, alpha = chance.uniform(0.01, 2), chance.uniform(0, 1)
        train(study, 9, 0.1 + (sigma - 0.5) ** 2 / 10, stage="search", sigma=sigma, alpha=alpha)
    found = importance.importances_of(read_study(uri, study.name))
    assert found is not None
    assert list(found.shares) == ["sigma", "alpha"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["sigma"] > 0.7
    assert (found.trials, found.quantile) == (40, 0.125)


def test_importances_know_searched_words_and_parameters_that_some_trials_lack(
    new_study: NewStudy, train: Train, uri: str
) -> None:
    study = new_study()
    for number in range(30):
        more = {"momentum": 0.1 * (number % 9)} if number % 2 else {}
        optimizer = "sgd" if number % 2 else "adam"
        train(study, 9, 0.3 - 0.2 * (number % 2), stage="search", sigma=0.5, alpha=0.5, optimizer=optimizer, **more)
    found = importance.importances_of(read_study(uri, study.name))
    assert found is not None
    assert set(found.shares) == {"optimizer", "momentum"}


def test_time_is_summed_by_stage_and_the_wall_time_spans_all_runs(new_study: NewStudy, train: Train, uri: str) -> None:
    study = new_study()
    train(study, 0, 0.1, 0.1, role="baseline", seconds=100.0)
    train(study, 0, 0.1, 0.1, sigma=0.5, alpha=0.5, seconds=200.0)
    train(study, 9, 0.1, stage="search", sigma=0.5, alpha=0.5, seconds=3300.0)
    found = durations.durations_of(read_study(uri, study.name))
    assert found is not None
    assert found.of_trials == {"grid": (100.0, 200.0), "search": (3300.0,)}
    assert found.wall == pytest.approx(2.5)  # three runs that begin a second apart, the last of them half a second long
    assert durations.sketch(found).title == "Search took 92 % of 1 h of training, done in 2.5 s".replace(
        "1 h", "60 min"
    )


# -------------------------------------------------------------------------------------------------- what is drawn of it

HOSTILE = '</svg><script>alert("1")</script> $\\frac{1$ --> \n & <b>' + "x" * 300


@pytest.fixture
def everything(new_study: NewStudy, train: Train, grid: Callable[..., Writer]) -> Writer:
    """A study that has every kind of picture, with a student's name that would break most of them."""
    study = new_study(published="table-1")
    study.teacher("lenet-mnist", 0.05)
    for student, cost in ((HOSTILE, 2_000_000), ("small", 500_000)):
        where = {"student": student, "multiplications": cost, "study": study}
        grid(OVER_SIGMA, **where)
        grid({(0.1, 0.5): 0.10, (0.5, 0.5): 0.12}, method="noisy_student", **where)
        grid({(0.1, 0.9): 0.10, (0.5, 0.9): 0.12}, **where)
        train(study, 0, 0.1, 0.1, sigma="[0.01, 1.0]", sigma_mode="uniform", alpha=0.9, student=student)
    for number in range(24):
        outcome = ("completed", "completed", "completed", "pruned", "diverged")[number % 5]
        settings = {"sigma": 0.05 * (number + 1), "alpha": (number * 7 % 24) / 24, HOSTILE[:40]: number % 3}
        train(study, 9, 0.1 + number / 100, stage="search", outcome=outcome, student=HOSTILE, seconds=3.0, **settings)
        train(study, 9, 0.1 + number / 100, stage="search", sigma=number / 9, alpha=0.5, student=HOSTILE)
    for seed in SEEDS:
        train(study, seed, 0.1, 0.1, stage="confirm", sigma=0.33, alpha=0.4, student=HOSTILE, history=[0.3, 0.2, 0.1])
    return study


def test_every_kind_is_drawn_whatever_the_names_and_the_same_bytes_twice(
    everything: Writer, sketched: Callable[[Writer], Sketches]
) -> None:
    once, again = sketched(everything).finish().pictures, sketched(everything).finish().pictures
    assert [picture.name for picture in once] == [
        "teacher-or-student-noise-1",
        "error-over-sigma-1",
        "teacher-or-student-noise-2",
        "error-over-sigma-2",
        *(f"sigma-alpha-map-{number}" for number in (1, 2, 3, 4)),
        "error-against-compression",
        "best-noise-over-gap",
        "learning-curves",
        "parameter-importances",
        "where-time-went",
    ]
    assert [(picture.svg, picture.png) for picture in once] == [(picture.svg, picture.png) for picture in again]
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


def test_a_picture_of_very_many_trials_stays_small(
    monkeypatch: pytest.MonkeyPatch, new_study: NewStudy, train: Train, uri: str
) -> None:
    study = new_study()
    for number in range(30):
        train(study, 9, 0.1 + number / 100, stage="search", sigma=number / 10, alpha=number % 7 / 7)
    (found,) = trial_map.maps_of(read_study(uri, study.name))
    assert "<image" not in trial_map.sketch(found, several=False).finish().svg
    monkeypatch.setattr(trial_map, "MANY", 30)
    assert "<image" in trial_map.sketch(found, several=False).finish().svg


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
    looks = [line_look(index) for index in range(sweep.MAX_LINES)]
    assert len({look["color"] for look in looks}) == len(looks)
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == len(looks)


def test_matplotlib_is_not_loaded_before_something_is_drawn() -> None:
    program = "import sys, study.results.report, study.results.figures; print('matplotlib' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
