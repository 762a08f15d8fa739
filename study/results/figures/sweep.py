"""Error over the strength of the noise, against the baseline and the published curve.

Works on the rows of a table: one picture per student, one line per way of making noise. Over σ where several were
tried, over α where only that varies. A study with noise in the teacher and noise in the student gets the two side by
side, as in Figure 2 of Sau & Balasubramanian, "Deep Model Compression: Distilling Knowledge from Noisy Teachers".
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search_spaces.published import PublishedTable
from study.results.arms import Setting
from study.results.figures.style import Sketch, canvas, colour, legend_below, line_look
from study.results.rows import Row, Table
from study.results.verdicts import TESTED, WORDS
from study.results.words import (
    LONGEST_LABEL,
    count,
    lost_words,
    method_words,
    plain,
    seeds_each,
    setting_words,
    sigma_words,
)

Axis = Literal["sigma", "alpha"]
SYMBOLS: dict[Axis, str] = {"sigma": "σ", "alpha": "α"}
LABELS: dict[Axis, str] = {
    "sigma": "σ, standard deviation of the noise",
    "alpha": "α, share of the samples that are perturbed",
}
MAX_LINES = 6
_BOTH = ("noisy_teacher", "noisy_student")


@dataclass(frozen=True)
class Line:
    """Arms that differ in the swept setting alone, by its value.

    Attributes:
        traits: everything else that says what they are, by name.
        rows: ascending in the swept setting.
    """

    traits: tuple[tuple[str, Setting | None], ...]
    rows: tuple[Row, ...]

    @property
    def method(self) -> str:
        return str(dict(self.traits)["method"])


@dataclass(frozen=True)
class Sweep:
    """One picture: a student's lines over σ or α.

    Attributes:
        baseline: the student's baseline; None where it has none, or several.
        uniform: arms whose σ is drawn from a range.
        confirmed: searched points on fresh seeds.
        left_out: how many lines there was no room for.
        lost: how many of the student's rows lost seeds, and are in no picture.
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
        """Whether this is noise in the teacher against noise in the student."""
        return {line.method for line in self.lines} == set(_BOTH)

    @property
    def rows(self) -> list[Row]:
        """All arms of the picture."""
        return [row for line in self.lines for row in line.rows] + [*self.uniform, *self.confirmed]


# --------------------------------------------------------------------------------------------------- what there is


def sweeps_of(table: Table) -> list[Sweep]:
    """The pictures that a table has, by student; a student with both kinds of noise may have two.

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
                found += [replace(sweep, lost=lost) for sweep in _of_student(student, axis, baseline, lines, rows)]
                break
    return found


def _of_student(student: str, axis: Axis, baseline: Row | None, lines: list[Line], rows: list[Row]) -> list[Sweep]:
    by_trait = {line.traits: line for line in lines}
    paired = []
    for traits, line in by_trait.items():
        other = by_trait.get((("method", _BOTH[1]), *traits[1:]))
        if line.method == _BOTH[0] and other is not None:
            paired += [line, other]
    rest = [line for line in lines if line not in paired]
    sweep = Sweep(
        axis,
        student,
        baseline,
        (),
        uniform=tuple(row for row in rows if axis == "sigma" and isinstance(row.arm.sigma, tuple)),
        confirmed=tuple(row for row in rows if row.stage == "confirm" and isinstance(getattr(row.arm, axis), float)),
    )
    sweeps = []
    if paired:
        sweeps.append(replace(_limited(sweep, paired), uniform=(), confirmed=()))
    if rest:
        sweeps.append(_limited(sweep, rest))
    return sweeps


def _limited(sweep: Sweep, lines: list[Line]) -> Sweep:
    return replace(sweep, lines=tuple(lines[:MAX_LINES]), left_out=max(len(lines) - MAX_LINES, 0))


def _lines(rows: Iterable[Row], axis: Axis) -> list[Line]:
    """Groups of at least two different values of the swept setting."""
    groups: dict[tuple[tuple[str, Setting | None], ...], list[Row]] = {}
    for row in rows:
        if row.stage == "grid" and isinstance(getattr(row.arm, axis), float | int):
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


# ------------------------------------------------------------------------------------------------------------ words


def sketch(sweep: Sweep, several: bool, published: PublishedTable | None) -> Sketch:
    """The picture of a sweep.

    Args:
        sweep: what to draw.
        several: whether the study has more students, so that the name is needed to tell pictures apart.
        published: where the published numbers beside the table come from; None where there are none.
    """
    symbol = SYMBOLS[sweep.axis]
    heading = "Noise in the teacher against noise in the student" if sweep.compares_both else f"Error over {symbol}"
    return Sketch(
        name="teacher-or-student-noise" if sweep.compares_both else f"error-over-{sweep.axis}",
        heading=f"{heading}: {plain(sweep.student)}" if several else heading,
        title=_comparison(sweep) if sweep.compares_both else _finding(sweep),
        caption=_caption(sweep, published),
        draw=lambda: _draw(sweep, published is not None and _is_best_of(published)),
    )


def _finding(sweep: Sweep) -> str:
    """What the verdicts of the table say about this picture's arms."""
    rows = sweep.rows
    verdicts = [row.verdict for row in rows]
    tested = sum(verdict in TESTED for verdict in verdicts)
    better, worse = verdicts.count("better"), verdicts.count("worse")
    only_swept = len(sweep.lines) == 1 and not sweep.uniform and not sweep.confirmed
    what = SYMBOLS[sweep.axis] if only_swept else "arms"
    if not tested:
        best = min(rows, key=lambda row: row.mean)
        value = f"{best.mean:.2%}".replace("%", " %")
        return f"Lowest error {value}; nothing is tested ({WORDS[best.verdict]})"
    if not better and not worse:
        return f"None of {tested} {what} differs from the baseline beyond noise"
    parts = [f"{better} of {tested} {what} err less than the baseline"] if better else []
    if worse:
        parts.append(f"{worse} {'err' if better else f'of {tested} {what} err'} more")
    if better + worse < tested:
        parts.append("the rest are undecided")
    return ", ".join(parts)


def _comparison(sweep: Sweep) -> str:
    of_teacher, of_student = 0, 0
    by_traits = {line.traits: line for line in sweep.lines}
    for traits, line in by_traits.items():
        other = by_traits.get((("method", _BOTH[1]), *traits[1:]))
        if line.method != _BOTH[0] or other is None:
            continue
        errors = {getattr(row.arm, sweep.axis): row.mean for row in other.rows}
        for row in line.rows:
            if (there := errors.get(getattr(row.arm, sweep.axis))) is not None:
                of_teacher += row.mean < there
                of_student += there < row.mean
    return (
        f"Noise in the teacher has the lower mean error at {of_teacher} {SYMBOLS[sweep.axis]}, "
        f"noise in the student at {of_student}"
    )


def _caption(sweep: Sweep, published: PublishedTable | None) -> str:
    said = [
        f"Mean test error with 95 % intervals (Student's t), {seeds_each(row.n for row in sweep.rows)} a point."
        if any(row.test_error_ci95 for row in sweep.rows)
        else f"Test error, {seeds_each(row.n for row in sweep.rows)} a point, so no intervals."
    ]
    if sweep.baseline is not None:
        band = " and its 95 % interval" if sweep.baseline.test_error_ci95 else ""
        said.append(
            f"The grey band is the baseline's mean{band} ({seeds_each([sweep.baseline.n])}); differences are tested "
            "seed by seed, so overlapping intervals are not the test."
        )
    if sweep.compares_both:
        said.append("Which is lower is said of the means; the two are not tested against each other.")
    if published is not None and any(row.published_error_percent is not None for row in sweep.rows):
        what = "published single runs"
        if _is_best_of(published):
            what = "the one published error, the best of several σ on the test set"
        said.append(f"Dashed grey: {what}, {published.citation}.")
    if cut := _cut_off(sweep):
        said.append(f"{count(cut, 'interval')} reach{'es' if cut == 1 else ''} beyond the picture.")
    if sweep.left_out:
        said.append(f"Left out: {count(sweep.left_out, 'line')} for which there is no room.")
    if sweep.lost:
        said.append(lost_words(sweep.lost))
    return " ".join(said)


def _is_best_of(published: PublishedTable) -> bool:
    """Whether the source prints no curve but the best of it."""
    return any(entry.best_of_sigma is not None for entry in published.errors)


def _subtitle(sweep: Sweep) -> str:
    """Student, what is the same for all lines, and the number of seeds."""
    other = "α" if sweep.axis == "sigma" else "σ"
    same = {dict(line.traits).get(other) for line in sweep.lines}
    value = same.pop() if len(same) == 1 else None
    kept = [value if isinstance(value, str) else setting_words(other, value)] if value is not None else []
    intervals = ["95 % intervals"] if any(row.test_error_ci95 for row in sweep.rows) else []
    return ", ".join([plain(sweep.student), *kept, seeds_each(row.n for row in sweep.rows), *intervals])


def _names(lines: Sequence[Line]) -> list[str]:
    """What tells the lines apart."""
    known: dict[str, list[Setting | None]] = {}
    for line in lines:
        for name, value in line.traits:
            known.setdefault(name, []).append(value)
    varying = [name for name, values in known.items() if len(set(values)) > 1 or name == "method"]
    names = []
    for line in lines:
        traits = dict(line.traits)
        words = []
        for name in varying:
            value = traits.get(name)
            if name == "method":
                words.append(method_words(str(value)))
            elif name == "teacher":
                words.append(plain(f"{value or 'no teacher'}", LONGEST_LABEL))
            elif name in ("noise", "σ"):
                words.append(plain(f"{value or 'no'}{' noise' if name == 'noise' else ''}"))
            else:
                words.append(setting_words(name, value))
        names.append(", ".join(words))
    return names


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(sweep: Sweep, published_is_best_of: bool) -> Figure:
    figure, (axes,) = canvas()
    values = [float(getattr(row.arm, sweep.axis)) for line in sweep.lines for row in line.rows]
    step = min((b - a for a, b in _steps(sorted(set(values)))), default=0.1)
    if sweep.baseline is not None:
        _band(axes, sweep.baseline)
    for index, (line, name) in enumerate(zip(sweep.lines, _names(sweep.lines), strict=True)):
        # Side by side where several lines have a point at the same place.
        shift = (index - (len(sweep.lines) - 1) / 2) * min(0.12, 0.5 / len(sweep.lines)) * step
        _points(axes, line.rows, sweep.axis, shift, label=name, **line_look(index))
        _published(axes, line, sweep.axis, first=index == 0, is_best_of=published_is_best_of)
    for row in sweep.uniform:
        _uniform(axes, row, aside=0.4 * step)
    if sweep.confirmed:
        look = {"color": colour("ink"), "linestyle": "none", "marker": "D", "markerfacecolor": "none"}
        _points(axes, sweep.confirmed, sweep.axis, 0.0, label="found by the search, confirmed", **look)
    axes.set_xlabel(LABELS[sweep.axis])
    axes.set_ylabel("test error (%)")
    axes.set_title(_subtitle(sweep))
    axes.set_ylim(*_limits(sweep))
    legend_below(figure, axes)
    return figure


def _steps(values: Sequence[float]) -> Iterable[tuple[float, float]]:
    return itertools.pairwise(values)


def _band(axes: Axes, baseline: Row) -> None:
    mean = baseline.mean * 100
    label = "baseline" if baseline.test_error_ci95 is None else "baseline, 95 % interval"
    axes.axhline(mean, color=colour("muted"), linewidth=1.2, label=label, zorder=1.5)
    if baseline.test_error_ci95 is not None:
        low, high = baseline.test_error_ci95
        axes.axhspan(low * 100, high * 100, color=colour("muted"), alpha=0.16, linewidth=0, zorder=1)
    if baseline.published_error_percent is not None:
        axes.axhline(
            baseline.published_error_percent,
            color=colour("muted"),
            linestyle=(0, (1, 2)),
            label="published baseline",
            zorder=1.5,
        )


def _points(axes: Axes, rows: Sequence[Row], axis: Axis, shift: float, label: str, **look: object) -> None:
    means = [row.mean * 100 for row in rows]
    intervals = [row.test_error_ci95 or (row.mean, row.mean) for row in rows]
    below = [mean - low * 100 for mean, (low, _) in zip(means, intervals, strict=True)]
    above = [high * 100 - mean for mean, (_, high) in zip(means, intervals, strict=True)]
    at = [float(getattr(row.arm, axis)) + shift for row in rows]
    axes.errorbar(at, means, yerr=[below, above], capsize=2.5, elinewidth=1, label=label, zorder=3, **look)  # type: ignore[arg-type]


def _published(axes: Axes, line: Line, axis: Axis, first: bool, is_best_of: bool) -> None:
    printed = [(getattr(row.arm, axis), row.published_error_percent) for row in line.rows]
    known = [(value, percent) for value, percent in printed if percent is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            color=colour("muted"),
            linestyle=(0, (4, 2)),
            marker="" if is_best_of else "x",
            linewidth=1.2,
            label=("published, best of several σ" if is_best_of else "published, single runs") if first else None,
            zorder=2,
        )


def _uniform(axes: Axes, row: Row, aside: float) -> None:
    """A line over the range that σ is drawn from; its interval stands aside of the middle, where a point may be."""
    assert isinstance(row.arm.sigma, tuple)
    low, high = row.arm.sigma
    mean = row.mean * 100
    interval = row.test_error_ci95 or (row.mean, row.mean)
    label = sigma_words(row.arm.sigma) + (f", α = {row.arm.alpha:.4g}" if row.arm.alpha is not None else "")
    axes.plot([low, high], [mean, mean], color=colour("ink"), linestyle=(0, (6, 2)), label=label, zorder=2.5)
    axes.errorbar(
        [(low + high) / 2 + aside],
        [mean],
        yerr=[[mean - interval[0] * 100], [interval[1] * 100 - mean]],
        color=colour("ink"),
        marker="*",
        markersize=8,
        capsize=2.5,
        elinewidth=1,
        zorder=3,
    )


def _limits(sweep: Sweep) -> tuple[float, float]:
    """Of the error axis, in per cent. An interval over two seeds can be ten times as wide as the others: then it is
    cut rather than the curve flattened."""
    rows = [*sweep.rows, *([sweep.baseline] if sweep.baseline else [])]
    means = [row.mean * 100 for row in rows]
    means += [row.published_error_percent for row in rows if row.published_error_percent is not None]
    ends = [end * 100 for row in rows for end in row.test_error_ci95 or (row.mean,)]
    halves = [(row.test_error_ci95[1] - row.test_error_ci95[0]) * 50 for row in rows if row.test_error_ci95]
    room = max(2 * statistics.median(halves) if halves else 0.0, 0.5 * (max(means) - min(means)))
    low, high = max(min([*ends, *means]), min(means) - room, 0.0), min(max([*ends, *means]), max(means) + room)
    margin = 0.05 * (high - low) or 0.05 * high or 1.0
    return max(low - margin, 0.0), high + margin


def _cut_off(sweep: Sweep) -> int:
    low, high = _limits(sweep)
    shown = [row for row in [*sweep.rows, *([sweep.baseline] if sweep.baseline else [])] if row.test_error_ci95]
    return sum(
        row.test_error_ci95 is not None
        and not low <= max(row.test_error_ci95[0], 0) * 100 <= row.test_error_ci95[1] * 100 <= high
        for row in shown
    )
