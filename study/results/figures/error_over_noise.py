"""Error over the strength of the noise, beside the baseline and the published curve.

Works on the content that `noise_lines` finds in a table: one figure for each student, one line for each kind of noise.
The figure with noise in the teacher and noise in the student is Figure 2 of Sau & Balasubramanian, "Deep Model
Compression: Distilling Knowledge from Noisy Teachers".
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search_spaces.published import PublishedTable
from study.results.arms import Setting
from study.results.figures.material import Material
from study.results.figures.noise_lines import (
    BOTH,
    LABELS,
    SYMBOLS,
    Axis,
    Line,
    NoiseLines,
    noise_lines_of,
    relative_lines_of,
    strength,
)
from study.results.figures.style import (
    HEIGHT,
    Sketch,
    canvas,
    colour,
    legend_below,
    legend_height,
    line_look,
    log_scale,
)
from study.results.rows import Row
from study.results.trend import Trend
from study.results.trends import trend_of_rows, trend_words
from study.results.verdicts import TESTED, WORDS
from study.results.wording import (
    LONGEST_LABEL,
    count,
    lost_words,
    method_words,
    plain,
    seeds_each,
    setting_words,
    sigma_words,
)


def sketches(material: Material) -> list[Sketch]:
    """The figures of each student over σ or α, and over the size of the noise relative to the logits."""
    found = [*noise_lines_of(material.table), *relative_lines_of(material.table)]
    found = [each for each in found if each.student in material.shown_students]
    return [sketch(each, material.several_students, material.published) for each in found]


# ------------------------------------------------------------------------------------------------------------ words


def sketch(shown: NoiseLines, several: bool, published: PublishedTable | None) -> Sketch:
    """The figure of these lines.

    Args:
        shown: what to draw.
        several: whether the study has more students, so that the heading needs the student's name.
        published: the source of the published numbers; None if there are none.
    """
    symbol = SYMBOLS[shown.axis]
    heading = "Noise in the teacher against noise in the student" if shown.compares_both else f"Error over {symbol}"
    return Sketch(
        name="teacher-or-student-noise" if shown.compares_both else f"error-over-{shown.axis.replace('_', '-')}",
        heading=f"{heading}: {plain(shown.student)}" if several else heading,
        title=_comparison(shown) if shown.compares_both else _finding(shown),
        caption=_caption(shown, published),
        draw=lambda: _draw(shown, published is not None and _is_best_of(published)),
    )


def _finding(shown: NoiseLines) -> str:
    """The verdicts of the table for the arms of this figure, in one sentence."""
    rows = shown.rows
    verdicts = [row.verdict for row in rows]
    tested = sum(verdict in TESTED for verdict in verdicts)
    better, worse, same = (verdicts.count(name) for name in ("better", "worse", "no_difference_that_matters"))
    only_lines = len(shown.lines) == 1 and not shown.uniform and not shown.confirmed
    what = SYMBOLS[shown.axis] if only_lines and shown.axis != "relative_noise" else "arms"
    if not tested:
        best = min(rows, key=lambda row: row.mean)
        value = f"{best.mean:.2%}".replace("%", " %")
        return f"Lowest error {value}; nothing is tested ({WORDS[best.verdict]})"
    if not better and not worse:
        return f"None of {tested} {what} is shown to differ from the baseline"
    first, kind = (better, "better") if better else (worse, "worse")
    parts = [f"{first} of {tested} {what} {'is' if first == 1 else 'are'} {kind} than the baseline"]
    others = [(worse if better else 0, "worse"), (same, "without a difference that matters")]
    others.append((tested - better - worse - same, "undecided"))
    return ", ".join(parts + [f"{count} {words}" for count, words in others if count])


def _comparison(shown: NoiseLines) -> str:
    of_teacher, of_student = 0, 0
    by_traits = {line.traits: line for line in shown.lines}
    for traits, line in by_traits.items():
        other = by_traits.get((("method", BOTH[1]), *traits[1:]))
        if line.method != BOTH[0] or other is None:
            continue
        errors = {getattr(row.arm, shown.axis): row.mean for row in other.rows}
        for row in line.rows:
            if (there := errors.get(getattr(row.arm, shown.axis))) is not None:
                of_teacher += row.mean < there
                of_student += there < row.mean
    return (
        f"Noise in the teacher has the lower mean error at {of_teacher} {SYMBOLS[shown.axis]}, "
        f"noise in the student at {of_student}"
    )


def _caption(shown: NoiseLines, published: PublishedTable | None) -> str:
    said = [
        f"Mean test error with 95 % intervals (Student's t), {seeds_each(row.n for row in shown.rows)} a point."
        if any(row.test_error_ci95 for row in shown.rows)
        else f"Test error, {seeds_each(row.n for row in shown.rows)} a point, so no intervals."
    ]
    if shown.baseline is not None:
        band = " and its 95 % interval" if shown.baseline.test_error_ci95 else ""
        said.append(
            f"The grey band is the baseline's mean{band} ({seeds_each([shown.baseline.n])}). Differences are tested "
            "seed by seed, so overlapping intervals do not decide the test."
        )
    known = [found for line in shown.lines if (found := _trend(shown, line)) is not None]
    if known:
        said.append(
            "Coloured bands: a parabola over the logarithm, fitted to the differences from the baseline seed by seed, "
            "with its 95 % interval at each single value. "
            + " ".join(f"Trend: {trend_words(each, SYMBOLS[shown.axis])}" for each in known)
        )
    if shown.axis == "relative_noise":
        said.append(
            "The size of the noise is the root mean square of the perturbation of a logit, divided by that of the "
            "teachers' logits, as measured in the trainings. At equal σ the readings have different sizes."
        )
    if shown.compares_both:
        said.append("The title compares means only. The two methods are not tested against each other.")
    has_published = any(row.published_error_percent is not None for row in shown.rows)
    if published is not None and has_published and shown.axis != "relative_noise":
        what = "published single runs"
        if _is_best_of(published):
            what = "the only published error, the best of several σ on the test set"
        said.append(f"Dashed grey: {what}, {published.citation}.")
    if cut := _cut_off(shown):
        said.append(f"{count(cut, 'interval')} reach{'es' if cut == 1 else ''} beyond the figure.")
    if shown.left_out:
        said.append(f"Left out: {count(shown.left_out, 'line')}, because there is no room for more.")
    if shown.lost:
        said.append(lost_words(shown.lost))
    return " ".join(said)


def _trend(shown: NoiseLines, line: Line) -> Trend | None:
    """The trend of a line. Over the relative size there is none: within a line it is the trend over σ."""
    return None if shown.axis == "relative_noise" else trend_of_rows(shown.baseline, line.rows, shown.axis)


def _is_best_of(published: PublishedTable) -> bool:
    """Whether the source prints only the best error of several σ, and no curve."""
    return any(entry.best_of_sigma is not None for entry in published.errors)


def _subtitle(shown: NoiseLines) -> str:
    """The student, the settings that all lines share, and the number of seeds."""
    other = "σ" if shown.axis == "alpha" else "α"
    same = {dict(line.traits).get(other) for line in shown.lines}
    value = same.pop() if len(same) == 1 else None
    kept = [value if isinstance(value, str) else setting_words(other, value)] if value is not None else []
    intervals = ["95 % intervals"] if any(row.test_error_ci95 for row in shown.rows) else []
    return ", ".join([plain(shown.student), *kept, seeds_each(row.n for row in shown.rows), *intervals])


def _names(lines: Sequence[Line]) -> list[str]:
    """A label for each line with the settings in which the lines differ."""
    known: dict[str, list[Setting | None]] = {}
    for line in lines:
        for name, value in line.traits:
            known.setdefault(name, []).append(value)
    varying = [name for name, values in known.items() if len(set(values)) > 1] or ["method"]
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


def _draw(shown: NoiseLines, published_is_best_of: bool) -> Figure:
    names = _names(shown.lines)
    figure, (axes,) = canvas(height=HEIGHT + legend_height([*names, "baseline, 95 % interval"]))
    is_relative = shown.axis == "relative_noise"
    values = [strength(row, shown.axis) for line in shown.lines for row in line.rows]
    step = min((b - a for a, b in _steps(sorted(set(values)))), default=0.1)
    if shown.baseline is not None:
        _band(axes, shown.baseline)
    for index, (line, name) in enumerate(zip(shown.lines, names, strict=True)):
        # Points of several lines at one value are drawn side by side.
        shift = 0.0 if is_relative else (index - (len(shown.lines) - 1) / 2) * min(0.12, 0.5 / len(shown.lines)) * step
        _points(axes, line.rows, shown.axis, shift, label=name, **line_look(index))
        _trend_band(axes, shown, line, str(line_look(index)["color"]))
        if not is_relative:
            _published(axes, line, shown.axis, first=index == 0, is_best_of=published_is_best_of)
    for row in shown.uniform:
        _uniform(axes, row, aside=0.4 * step)
    if shown.confirmed:
        look = {"color": colour("ink"), "linestyle": "none", "marker": "D", "markerfacecolor": "none"}
        _points(axes, shown.confirmed, shown.axis, 0.0, label="found by the search, confirmed", **look)
    if is_relative:
        log_scale(axes, "x")
    axes.set_xlabel(LABELS[shown.axis])
    axes.set_ylabel("test error (%)")
    axes.set_title(_subtitle(shown))
    axes.set_ylim(*_limits(shown))
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


def _trend_band(axes: Axes, shown: NoiseLines, line: Line, of_line: str) -> None:
    """The parabola of the trend as an error, with its 95 % interval at each single strength."""
    found = _trend(shown, line)
    if found is None or shown.baseline is None:
        return
    at = np.geomspace(min(found.strengths), max(found.strengths), 60)
    middle, low, high = (100 * (shown.baseline.mean - values) for values in found.band(at))
    axes.fill_between(at, high, low, color=of_line, alpha=0.12, linewidth=0, zorder=1.2)
    axes.plot(at, middle, color=of_line, linewidth=0.9, alpha=0.7, zorder=2)


def _points(axes: Axes, rows: Sequence[Row], axis: Axis, shift: float, label: str, **look: object) -> None:
    means = [row.mean * 100 for row in rows]
    intervals = [row.test_error_ci95 or (row.mean, row.mean) for row in rows]
    below = [mean - low * 100 for mean, (low, _) in zip(means, intervals, strict=True)]
    above = [high * 100 - mean for mean, (_, high) in zip(means, intervals, strict=True)]
    at = [strength(row, axis) + shift for row in rows]
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
    """A line over the range from which σ is drawn. Its interval is beside the middle, because a point may be there."""
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


def _limits(shown: NoiseLines) -> tuple[float, float]:
    """The limits of the error axis, in per cent. An interval over two seeds can be ten times as wide as the others.
    Then it is cut, because the curve would be flat otherwise."""
    rows = [*shown.rows, *([shown.baseline] if shown.baseline else [])]
    means = [row.mean * 100 for row in rows]
    means += [row.published_error_percent for row in rows if row.published_error_percent is not None]
    ends = [end * 100 for row in rows for end in row.test_error_ci95 or (row.mean,)]
    halves = [(row.test_error_ci95[1] - row.test_error_ci95[0]) * 50 for row in rows if row.test_error_ci95]
    room = max(2 * statistics.median(halves) if halves else 0.0, 0.5 * (max(means) - min(means)))
    low, high = max(min([*ends, *means]), min(means) - room, 0.0), min(max([*ends, *means]), max(means) + room)
    margin = 0.05 * (high - low) or 0.05 * high or 1.0
    return max(low - margin, 0.0), high + margin


def _cut_off(shown: NoiseLines) -> int:
    low, high = _limits(shown)
    rows = [*shown.rows, *([shown.baseline] if shown.baseline else [])]
    return sum(
        row.test_error_ci95 is not None
        and not low <= max(row.test_error_ci95[0], 0) * 100 <= row.test_error_ci95[1] * 100 <= high
        for row in rows
    )
