"""All figures of a study: which of them it has, and that each of them is drawn safely and reproducibly."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from support.sheet import OVER_SIGMA, SEEDS, Sheet

from study.results.figures.chosen import by_validation
from study.results.figures.material import MAX_STUDENTS
from study.results.figures.pictures import sketches_of
from study.results.figures.style import COLOURS, DOTS_PER_INCH, WIDTH
from study.results.history import read_histories
from study.results.read import read_study
from study.results.table import table_of

pytest_plugins = ("support.handwritten",)


def test_a_study_without_trials_has_no_figures() -> None:
    assert Sheet().names() == []


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


def test_students_without_figures_are_named() -> None:
    """Of many students the first have pictures, and the others are named."""
    study = Sheet().grid(OVER_SIGMA, student="net-0")
    for number in range(1, MAX_STUDENTS + 2):
        study.grid(OVER_SIGMA, student=f"net-{number}")
    found = study.sketches()
    assert [sketch.heading for sketch in found.sketches] == [f"Error over σ: net-{n}" for n in range(MAX_STUDENTS)]
    assert found.left_out == ("These students have no figures of their own: net-4, net-5.",)


def test_a_study_of_the_tracking_server_has_its_figures(mnist: str, uri: str) -> None:
    tracked = read_study(uri, mnist)
    found = sketches_of(
        tracked, table_of(tracked), by_validation(tracked), lambda runs, metric: read_histories(uri, runs, metric)
    )
    assert [sketch.name for sketch in found.sketches] == ["error-over-sigma", "sigma-alpha-map"]
    assert "published single runs, Sau & Balasubramanian (2016)" in found.sketches[0].caption


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
        *(f"improvement-map-{number}" for number in (1, 2)),
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


def test_matplotlib_is_imported_only_to_draw() -> None:
    program = "import sys, study.results.report, study.results.figures; print('matplotlib' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
