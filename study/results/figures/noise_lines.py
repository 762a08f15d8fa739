"""The content of the figure "error over the strength of the noise": the lines and their rows.

Works on the rows of a table. Knows nothing of drawing. A student has one figure over σ if several σ were tried, and one
over α if only α varies. If noise in the teacher and noise in the student were tried with the same settings, the two
have a figure of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from study.results.arms import Setting
from study.results.rows import Row, Table
from study.results.wording import sigma_words
from study.stages import CONFIRM, GRID

Axis = Literal["sigma", "alpha", "relative_noise"]
SYMBOLS: dict[Axis, str] = {"sigma": "σ", "alpha": "α", "relative_noise": "noise / logits"}
LABELS: dict[str, str] = {
    "sigma": "σ, standard deviation of the noise",
    "alpha": "α, share of the samples that are perturbed",
    "relative_noise": "size of the noise / size of the logits (root mean squares)",
}
MAX_LINES = 8
BOTH = ("noisy_teacher", "noisy_student")


@dataclass(frozen=True)
class Line:
    """Arms that differ only in the setting on the axis.

    Attributes:
        traits: all their other settings, by name.
        rows: the arms, ascending in the setting on the axis.
    """

    traits: tuple[tuple[str, Setting | None], ...]
    rows: tuple[Row, ...]

    @property
    def method(self) -> str:
        return str(dict(self.traits)["method"])


def strength(row: Row, axis: Axis) -> float:
    """The value of an arm on an axis.

    Raises:
        ValueError: it has none.
    """
    value = getattr(row.arm, axis) if axis != "relative_noise" else _relative_noise(row)
    if value is None or isinstance(value, tuple):
        raise ValueError(f"this arm has no value on the axis {axis}")
    return float(value)


def _relative_noise(row: Row) -> float | None:
    return None if row.measured is None else row.measured.relative_noise


@dataclass(frozen=True)
class NoiseLines:
    """One figure: a student's lines over σ or α.

    Attributes:
        baseline: the student's baseline; None if it has none, or several.
        uniform: arms whose σ is drawn from a range.
        confirmed: searched points on seeds that the search did not use.
        left_out: how many lines are not shown, because there is no room.
        lost: how many of the student's rows lost seeds, and are in no figure.
    """

    axis: Axis
    student: str
    baseline: Row | None
    lines: tuple[Line, ...]
    uniform: tuple[Row, ...] = ()
    confirmed: tuple[Row, ...] = ()
    left_out: int = 0
    lost: int = 0

    @property
    def compares_both(self) -> bool:
        """Whether the figure compares noise in the teacher with noise in the student."""
        return self.axis != "relative_noise" and {line.method for line in self.lines} == set(BOTH)

    @property
    def rows(self) -> list[Row]:
        """All arms of the figure."""
        return [row for line in self.lines for row in line.rows] + [*self.uniform, *self.confirmed]


def noise_lines_of(table: Table) -> list[NoiseLines]:
    """The figures of a table, by student. A student with both kinds of noise may have two.

    Rows without a mean error are left out.
    """
    found = []
    for student in dict.fromkeys(row.arm.student for row in table.rows):
        of_student = [row for row in table.rows if row.arm.student == student]
        rows = [row for row in of_student if row.arm.role == "arm" and row.test_error_mean is not None]
        baselines = [row for row in of_student if row.arm.role == "baseline"]
        baseline = baselines[0] if len(baselines) == 1 and baselines[0].test_error_mean is not None else None
        lost = sum(row.is_lost for row in of_student)
        for axis in ("sigma", "alpha"):
            if lines := _lines(rows, axis):
                found += [replace(shown, lost=lost) for shown in _of_student(student, axis, baseline, lines, rows)]
                break
    return found


def relative_lines_of(table: Table) -> list[NoiseLines]:
    """The figures over the size of the noise relative to the logits, one for each student.

    The same σ has different sizes in different readings. So a student has this figure if its arms differ in the
    reading, in the method or in the unit of σ. Arms without a measured noise, such as those with σ = 0, are left out.
    """
    found = []
    for student in dict.fromkeys(row.arm.student for row in table.rows):
        of_student = [row for row in table.rows if row.arm.student == student]
        arms = [row for row in of_student if row.arm.role == "arm" and row.test_error_mean is not None]
        measured = [row for row in arms if _relative_noise(row)]
        groups: dict[tuple[tuple[str, Setting | None], ...], list[Row]] = {}
        for row in measured:
            if row.stage == GRID and not isinstance(row.arm.sigma, tuple):
                groups.setdefault(_traits(row, "sigma"), []).append(row)
        units = {(row.arm.method, row.arm.noise, row.settings.get("sigma_unit")) for row in measured}
        if len(units) < 2 or len({_relative_noise(row) for row in measured}) < 3:
            continue
        lines = [
            Line(traits, tuple(sorted(rows, key=lambda row: strength(row, "relative_noise"))))
            for traits, rows in groups.items()
        ]
        baselines = [row for row in of_student if row.arm.role == "baseline" and row.test_error_mean is not None]
        shown = NoiseLines("relative_noise", student, baselines[0] if len(baselines) == 1 else None, ())
        confirmed = tuple(row for row in measured if row.stage == CONFIRM)
        lost = sum(row.is_lost for row in of_student)
        found.append(replace(_limited(shown, lines), confirmed=confirmed, lost=lost))
    return found


def _of_student(student: str, axis: Axis, baseline: Row | None, lines: list[Line], rows: list[Row]) -> list[NoiseLines]:
    by_trait = {line.traits: line for line in lines}
    paired = []
    for traits, line in by_trait.items():
        other = by_trait.get((("method", BOTH[1]), *traits[1:]))
        if line.method == BOTH[0] and other is not None:
            paired += [line, other]
    rest = [line for line in lines if line not in paired]
    shown = NoiseLines(
        axis,
        student,
        baseline,
        (),
        uniform=tuple(row for row in rows if axis == "sigma" and isinstance(row.arm.sigma, tuple)),
        confirmed=tuple(row for row in rows if row.stage == CONFIRM and isinstance(getattr(row.arm, axis), float)),
    )
    pictures = []
    if paired:
        pictures.append(replace(_limited(shown, paired), uniform=(), confirmed=()))
    if rest:
        pictures.append(_limited(shown, rest))
    return pictures


def _limited(shown: NoiseLines, lines: list[Line]) -> NoiseLines:
    return replace(shown, lines=tuple(lines[:MAX_LINES]), left_out=max(len(lines) - MAX_LINES, 0))


def _lines(rows: Iterable[Row], axis: Axis) -> list[Line]:
    """Groups of at least two different values of the setting on the axis."""
    groups: dict[tuple[tuple[str, Setting | None], ...], list[Row]] = {}
    for row in rows:
        if row.stage == GRID and isinstance(getattr(row.arm, axis), float | int):
            groups.setdefault(_traits(row, axis), []).append(row)
    lines = [
        Line(traits, tuple(sorted(of_group, key=lambda row: float(getattr(row.arm, axis)))))
        for traits, of_group in groups.items()
    ]
    return [line for line in lines if len({getattr(row.arm, axis) for row in line.rows}) > 1]


def _traits(row: Row, axis: Axis) -> tuple[tuple[str, Setting | None], ...]:
    kept: Setting | None = row.arm.alpha
    if axis == "alpha":
        kept = sigma_words(row.arm.sigma) if row.arm.sigma is not None else None
    return (
        ("method", row.arm.method),
        ("α" if axis == "sigma" else "σ", kept),
        ("noise", row.arm.noise),
        ("teacher", row.teacher_label or row.arm.teacher),
        *row.settings.items(),
    )
