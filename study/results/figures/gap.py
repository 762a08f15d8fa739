"""The best σ, and α, against the gap between the student's baseline and its teacher.

Sau & Balasubramanian, "Deep Model Compression: Distilling Knowledge from Noisy Teachers", section 5.1, claim that both
grow with the gap. Works on the trials of a grid. Each student has one point, chosen by validation error, and a bar over
all settings that a test does not distinguish from it. The baseline, without noise (σ = 0, α = 0), is one of the
settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.results import frames
from study.results.figures.chosen import ByValidation
from study.results.figures.material import Material
from study.results.figures.style import Sketch, canvas, colour, legend_below, name_above
from study.results.read import TrackedStudy
from study.results.rows import Row, Table
from study.results.rule import by_seed, judge
from study.results.statistics import Interval, mean
from study.results.wording import count, lost_words, plain, seeds_each, some
from study.stages import GRID
from study.tracking import schema

NoiseSetting = tuple[float, float]
"""(σ, α)."""

_LEGEND = ("lowest validation error", "not different in a test", "tried", "95 % interval of the gap")
_LABELS = {0: "best σ", 1: "best α"}


@dataclass(frozen=True)
class PlacedStudent:
    """The point of one student.

    Attributes:
        gap_points: mean test error of the baseline minus the teacher's, in percentage points; `gap_ci95` is from the
            baseline's Student interval, None with one seed.
        best: the setting with the lowest mean validation error.
        alike: the best setting, and every setting that the rule of the tables does not call worse than it.
        tried: all settings.
        n: seeds.
    """

    name: str
    gap_points: float
    gap_ci95: Interval | None
    best: NoiseSetting
    alike: frozenset[NoiseSetting]
    tried: frozenset[NoiseSetting]
    n: int

    def ends(self, axis: Literal[0, 1]) -> Interval:
        """Lowest and highest σ (axis 0) or α (axis 1) that could be the best."""
        values = [setting[axis] for setting in self.alike]
        return min(values), max(values)


@dataclass(frozen=True)
class Gap:
    """At least two students, ascending in their gap, those that could not be placed, and how many rows lost seeds."""

    students: tuple[PlacedStudent, ...]
    left_out: tuple[str, ...]
    lost: int

    @property
    def varies_alpha(self) -> bool:
        """Whether several α were tried (besides none)."""
        return len({alpha for student in self.students for _, alpha in student.tried if alpha > 0}) > 1


def gap_of(tracked: TrackedStudy, table: Table, validation: ByValidation) -> Gap | None:
    """The figure's content. None unless two students have a grid over σ, one baseline and a teacher's test error.

    Rows that lost a seed are left out.
    """
    students, left_out = [], []
    teachers = _teacher_errors(tracked)
    for name in dict.fromkeys(row.arm.student for row in table.rows):
        baselines = [row for row in table.rows if row.arm.student == name and row.arm.role == "baseline"]
        arms = [row for row in table.rows if row.arm.student == name and _is_point(row)]
        errors = _validation_errors([*baselines, *arms], validation)
        if len({sigma for sigma, _ in errors if sigma > 0}) < 2:
            continue
        teacher = teachers.get(_teacher(baselines[0])) if len(baselines) == 1 else None
        if teacher is not None and baselines[0].test_error_mean is not None and _differ_in_noise_alone(arms):
            students.append(_student(baselines[0], teacher, errors))
        else:
            left_out.append(plain(name))
    if len(students) < 2:
        return None
    return Gap(
        tuple(sorted(students, key=lambda student: (student.gap_points, student.name))),
        tuple(left_out),
        sum(row.is_lost for row in table.rows),
    )


def _is_point(row: Row) -> bool:
    """Whether a row is of the noisy teacher's grid, with a fixed σ."""
    return (
        row.arm.role == "arm"
        and row.stage == GRID
        and row.arm.method == "noisy_teacher"
        and isinstance(row.arm.sigma, float)
    )


def _differ_in_noise_alone(rows: Sequence[Row]) -> bool:
    """Whether the arms of the grid differ only in σ and α."""
    return (
        len({(row.arm.teacher, row.arm.teacher_key, row.arm.noise, tuple(row.settings.items())) for row in rows}) == 1
    )


def _teacher(row: Row) -> tuple[str, str | None]:
    return row.arm.teacher, row.arm.teacher_key


def _teacher_errors(tracked: TrackedStudy) -> dict[tuple[str, str | None], float]:
    """Test error by a teacher's name and key: the mean over its runs. A name with exactly one run has it with the key
    None, too."""
    known = pd.DataFrame(
        {
            "teacher": frames.text(tracked.teachers, f"params.{schema.TEACHER}"),
            "key": frames.text(tracked.teachers, f"params.{schema.TEACHER_KEY}"),
            "error": frames.number(tracked.teachers, f"metrics.{schema.TEST_ERROR}"),
        }
    ).dropna(subset=["teacher", "error"])
    found: dict[tuple[str, str | None], list[float]] = {}
    for run in known.to_dict("records"):
        found.setdefault((str(run["teacher"]), None), []).append(float(run["error"]))
        if not pd.isna(run["key"]):
            found.setdefault((str(run["teacher"]), str(run["key"])), []).append(float(run["error"]))
    return {teacher: mean(errors) for teacher, errors in found.items() if teacher[1] is not None or len(errors) == 1}


def _validation_errors(rows: Sequence[Row], validation: ByValidation) -> dict[NoiseSetting, Mapping[int, float]]:
    """Best validation error by setting and seed; the baseline is (0, 0)."""
    found: dict[NoiseSetting, Mapping[int, float]] = {}
    for row in rows:
        sigma, alpha = (0.0, 0.0) if row.arm.role == "baseline" else (row.arm.sigma, row.arm.alpha)
        if isinstance(sigma, float) and alpha is not None and (errors := validation.errors(row)):
            found[sigma, alpha] = errors
    return found


def _student(baseline: Row, teacher_error: float, errors: Mapping[NoiseSetting, Mapping[int, float]]) -> PlacedStudent:
    means = {setting: sum(of_seeds.values()) / len(of_seeds) for setting, of_seeds in errors.items()}
    best = min(means, key=lambda setting: (means[setting], setting))
    others = [setting for setting in errors if setting != best]
    matrix = by_seed(
        sorted({seed for each in errors.values() for seed in each}),
        [errors[best], *(errors[setting] for setting in others)],
    )
    alike = {
        setting
        for setting, found in zip(others, judge(matrix[:, 0], matrix[:, 1:]), strict=True)
        if found.verdict != "worse"
    }
    interval = baseline.test_error_ci95
    return PlacedStudent(
        name=baseline.arm.student,
        gap_points=(baseline.mean - teacher_error) * 100,
        gap_ci95=None
        if interval is None
        else ((interval[0] - teacher_error) * 100, (interval[1] - teacher_error) * 100),
        best=best,
        alike=frozenset({best, *alike}),
        tried=frozenset(errors),
        n=min(len(of_seeds) for of_seeds in errors.values()),
    )


# ------------------------------------------------------------------------------------------------------------ words


def sketches(material: Material) -> list[Sketch]:
    """One figure, if two students or more can be placed."""
    found = gap_of(material.tracked, material.table, material.by_validation)
    return [] if found is None else [sketch(found)]


def sketch(shown: Gap) -> Sketch:
    """The figure."""
    names = "σ or α" if shown.varies_alpha else "σ"
    said = [
        f"Each student has one point: the {names} with the lowest mean validation error, "
        f"{seeds_each(student.n for student in shown.students)}. The thick bar spans all values that the rule of the "
        "tables does not call worse at 5 %. Small dashes are the values that were tried. 0 is the baseline, without "
        "noise. Thin lines: 95 % interval of the gap, from the baseline's seeds."
    ]
    if any(student.n == 1 for student in shown.students):
        said.append("With one seed no test is possible.")
    if shown.left_out:
        said.append(
            f"Left out: {some(shown.left_out, 4)}. They have no single baseline, no known error of the teacher, or "
            "arms that differ in other settings than σ and α."
        )
    if shown.lost:
        said.append(lost_words(shown.lost))
    return Sketch(
        name="best-noise-over-gap",
        heading="Best noise against the gap to the teacher",
        title=_finding(shown),
        caption=" ".join(said),
        draw=lambda: _draw(shown),
    )


def _finding(shown: Gap) -> str:
    students = shown.students
    low = max(student.ends(0)[0] for student in students)
    high = min(student.ends(0)[1] for student in students)
    number = count(len(students), "student")
    if low <= high:
        common = f"σ = {low:g}" if low == high else f"σ from {low:g} to {high:g}"
        return f"The best σ is not shown to grow with the gap: {common} may be the best for all {number}"
    best = [student.best[0] for student in students]
    if best == sorted(best):
        return f"The best σ grows with the gap over {number}; a test distinguishes at least two of them"
    return f"The best σ differs between {number}, and does not grow steadily with the gap"


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(shown: Gap) -> Figure:
    axes_shown: tuple[Literal[0, 1], ...] = (0, 1) if shown.varies_alpha else (0,)
    figure, panels = canvas(height=3.8 if len(axes_shown) == 1 else 5.6, panels=(len(axes_shown), 1), sharex=True)
    for axis, axes in zip(axes_shown, panels, strict=True):
        _panel(axes, shown.students, axis)
    legend_below(figure, panels[0])
    panels[0].set_title(f"{seeds_each(student.n for student in shown.students)}, chosen on validation error")
    panels[-1].set_xlabel("gap: baseline's test error − teacher's (percentage points)")
    return figure


def _panel(axes: Axes, students: Sequence[PlacedStudent], axis: Literal[0, 1]) -> None:
    highest = max(setting[axis] for student in students for setting in student.tried)
    for index, student in enumerate(students):
        labels = _LEGEND if index == 0 else (None,) * len(_LEGEND)
        tried = sorted({setting[axis] for setting in student.tried})
        low, high = student.ends(axis)
        x = student.gap_points
        axes.plot([x], [student.best[axis]], "o", color=colour("blue"), markersize=7, zorder=4, label=labels[0])
        axes.plot([x, x], [low, high], color=colour("sky"), linewidth=7, alpha=0.6, zorder=2.5, label=labels[1])
        axes.plot([x] * len(tried), tried, "_", markersize=9, color=colour("muted"), zorder=3, label=labels[2])
        if student.gap_ci95 is not None:
            best = student.best[axis]
            axes.plot(student.gap_ci95, [best, best], color=colour("ink"), linewidth=1, zorder=3.5, label=labels[3])
        if axis == 0:
            name_above(axes, plain(student.name, 18), x, highest * 1.05)
    axes.set_ylim(-0.06 * highest, highest * (1.22 if axis == 0 else 1.08))
    axes.margins(x=0.12)
    axes.set_ylabel(_LABELS[axis])
