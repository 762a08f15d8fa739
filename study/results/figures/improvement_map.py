"""The improvement over the baseline on a map of two settings, for instance σ and the learning rate.

Works on the rows of a table, also of several studies that were joined. Knows nothing of the tracking server. Every cell
has its improvement, its verdict as a mark, and its number of seeds, so nothing is said by colour alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from study.results.arms import Setting
from study.results.cells import signed_percent
from study.results.figures.material import Material
from study.results.figures.noise_lines import LABELS as LABELS_OF_AXES
from study.results.figures.style import Sketch, canvas, colour
from study.results.rows import Row, Table
from study.results.verdicts import TESTED, WORDS, Verdict
from study.results.wording import LONGEST_LABEL, count, method_words, plain, seeds_each, setting_words, sigma_words
from study.stages import GRID

MAX_COLUMNS, MAX_ROWS = 10, 24
"""The most values of the settings on the two axes. With more, the text of a cell is not legible."""
MAX_MAPS = 4
"""The most maps of one student."""

MARKS: dict[Verdict, str] = {"better": "▲", "worse": "▼", "no_difference_that_matters": "≈", "undecided": "?"}
NO_VERDICT, LOST = "–", "×"

WORSE, EQUAL, BETTER = "#c4500a", "#f4f4f4", "#0a67a8"
"""The ends and the middle of the colours. Orange and blue differ for people with any colour vision."""
DARK_TEXT, LIGHT_TEXT = "#000000", "#fefefe"
"""Text in a cell. These colours do not change with the page's theme, because the colours of the cells do not change."""
WITHOUT_NUMBER = "#cfcfcf"
_SHADES = 8
_LABELS = {"σ": LABELS_OF_AXES["sigma"], "α": LABELS_OF_AXES["alpha"], "noise": "reading of the noise"}

Value = Setting
Place = tuple[Value, Value]


@dataclass(frozen=True)
class ImprovementMap:
    """The arms of one student and method that differ in two settings.

    Attributes:
        across: the name of the setting of the columns.
        down: the name of the setting of the rows.
        cells: the arms by the values of both settings.
        constant: the settings in which other maps of the student and method differ.
        baseline: the student's baseline; None if it has none, or several.
    """

    student: str
    method: str
    across: str
    down: str
    cells: Mapping[Place, Row]
    constant: tuple[tuple[str, Value], ...]
    baseline: Row | None

    @property
    def columns(self) -> list[Value]:
        """The values of the columns: numbers ascending, then words."""
        return _ordered(column for column, _ in self.cells)

    @property
    def rows(self) -> list[Value]:
        """The values of the rows from the bottom to the top: numbers ascending, then words descending."""
        ordered = _ordered(row for _, row in self.cells)
        words = [value for value in ordered if isinstance(value, str)]
        return [*(value for value in ordered if value not in words), *reversed(words)]

    @property
    def arms(self) -> list[Row]:
        """All arms of the map."""
        return list(self.cells.values())


def maps_of(table: Table) -> list[ImprovementMap]:
    """The maps of a table. A map needs two values or more of two settings, arms in half of its cells or more, and more
    arms than a diagonal has.

    The columns are σ, if it varies. The rows are the number that varies most, or else a setting with words, such as the
    reading. If more settings vary, each combination of them has a map.
    """
    found: list[ImprovementMap] = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        if row.arm.role == "arm" and row.stage == GRID:
            groups.setdefault((row.arm.student, row.arm.method), []).append(row)
    for (student, method), rows in groups.items():
        baselines = [row for row in table.rows if row.arm.role == "baseline" and row.arm.student == student]
        baseline = baselines[0] if len(baselines) == 1 else None
        found += _of_group(student, method, rows, baseline)
    return found


def _of_group(student: str, method: str, rows: Sequence[Row], baseline: Row | None) -> list[ImprovementMap]:
    settings = [(row, _settings(row)) for row in rows]
    names = dict.fromkeys(name for _, of_row in settings for name in of_row)
    values = {name: _ordered(of_row[name] for _, of_row in settings if name in of_row) for name in names}
    varying = sorted(
        (name for name in names if len(values[name]) > 1), key=lambda name: _preference(name, values[name])
    )
    if len(varying) < 2:
        return []
    across, down, *others = varying
    if len(values[across]) > MAX_COLUMNS >= len(values[down]):
        across, down = down, across
    by_others: dict[tuple[tuple[str, Value], ...], dict[Place, Row]] = {}
    for row, of_row in settings:
        if across in of_row and down in of_row:
            constant = tuple((name, of_row[name]) for name in others if name in of_row)
            by_others.setdefault(constant, {})[of_row[across], of_row[down]] = row
    maps = [
        ImprovementMap(student, method, across, down, cells, constant, baseline)
        for constant, cells in by_others.items()
    ]
    return [each for each in maps if _is_map(each)]


def _is_map(shown: ImprovementMap) -> bool:
    columns, rows, cells = len(shown.columns), len(shown.rows), len(shown.cells)
    is_legible = 2 <= columns <= MAX_COLUMNS and 2 <= rows <= MAX_ROWS
    return is_legible and cells > max(columns, rows) and 2 * cells >= columns * rows


def _settings(row: Row) -> dict[str, Value]:
    """All settings of an arm that can be on an axis, by name."""
    sigma = row.arm.sigma
    known: dict[str, Value | None] = {
        "σ": sigma_words(sigma).removeprefix("σ ~ ") if isinstance(sigma, tuple) else sigma,
        "α": row.arm.alpha,
        "noise": row.arm.reading or row.arm.noise,
        "teacher": row.teacher_label,
        **row.settings,
    }
    return {name: value for name, value in known.items() if value is not None}


def _preference(name: str, values: Sequence[Value]) -> tuple[int, int]:
    """σ first, then α, then numbers, then words; more values first."""
    numbers = sum(not isinstance(value, str) for value in values)
    return {"σ": 0, "α": 1}.get(name, 2 if numbers > 1 else 3), -len(values)


def _ordered(values: Iterable[Value]) -> list[Value]:
    known = set(values)
    numbers = sorted(value for value in known if not isinstance(value, str))
    return [*numbers, *sorted(value for value in known if isinstance(value, str))]


# ------------------------------------------------------------------------------------------------------------ words


def sketches(material: Material) -> list[Sketch]:
    """The maps of each student, at most `MAX_MAPS` of them."""
    found = [each for each in maps_of(material.table) if each.student in material.shown_students]
    sketched = []
    for student in dict.fromkeys(each.student for each in found):
        of_student = [each for each in found if each.student == student]
        left_out = len(of_student) - MAX_MAPS
        sketched += [sketch(each, material.several_students, max(left_out, 0)) for each in of_student[:MAX_MAPS]]
    return sketched


def sketch(shown: ImprovementMap, several: bool, left_out: int = 0) -> Sketch:
    """The figure of a map.

    Args:
        shown: the map.
        several: whether the study has several students, so that the heading needs the student's name.
        left_out: how many maps of the student are not shown.
    """
    which = [plain(shown.student)] if several else []
    which += [method_words(shown.method), *(_value_words(name, value) for name, value in shown.constant)]
    return Sketch(
        name="improvement-map",
        heading=f"Improvement over {_name(shown.across)} and {_name(shown.down)}: {', '.join(which)}",
        title=_finding(shown),
        caption=_caption(shown, left_out),
        alternative=_alternative(shown),
        draw=lambda: _draw(shown),
    )


def _finding(shown: ImprovementMap) -> str:
    verdicts = [row.verdict for row in shown.arms]
    tested = sum(verdict in TESTED for verdict in verdicts)
    better, worse = verdicts.count("better"), verdicts.count("worse")
    if not tested:
        return f"No cell has a verdict ({WORDS[shown.arms[0].verdict]})"
    if not better and not worse:
        return f"None of {count(tested, 'cell')} is shown to differ from the baseline"
    of_cells = f"of {count(tested, 'cell')} {'is' if (better or worse) == 1 else 'are'}"
    if better and worse:
        return f"{better} {of_cells} better than the baseline, {worse} worse"
    if better:
        return f"{better} {of_cells} better than the baseline, none is worse"
    return f"{worse} {of_cells} worse than the baseline, none is better"


def _caption(shown: ImprovementMap, left_out: int) -> str:
    known = {row.verdict for row in shown.arms if not row.is_lost}
    marks = [f"{mark} {WORDS[verdict]}" for verdict, mark in MARKS.items() if verdict in known]
    marks += [f"{NO_VERDICT} no verdict"] * any(verdict not in MARKS for verdict in known)
    said = [
        "Improvement of the mean test error over the baseline of the same student, "
        f"{seeds_each(row.n for row in shown.arms)} a cell. Blue is better, orange is worse. The second line of a cell "
        f"has the verdict of the table and n: {', '.join(marks)}."
    ]
    if any(row.is_lost for row in shown.arms):
        said.append("Grey with ×: seeds were lost to trainings that diverged or failed, so there is no mean.")
    empty = len(shown.columns) * len(shown.rows) - len(shown.cells)
    if empty:
        said.append(f"{count(empty, 'empty cell')} {'was' if empty == 1 else 'were'} not tried.")
    own = None if shown.baseline is None else shown.baseline.settings.get(shown.down)
    if own is not None:
        said.append(f"The baseline has {_value_words(shown.down, own)}.")
    said.append("The largest of many improvements is too large on average.")
    if left_out:
        said.append(f"Left out: {count(left_out, 'map')} of this student.")
    return " ".join(said)


def _alternative(shown: ImprovementMap) -> str:
    """All cells in words, for people who do not see the figure."""
    cells = []
    for down in reversed(shown.rows):
        for across in shown.columns:
            if (row := shown.cells.get((across, down))) is not None:
                number = "no mean" if row.improvement_percent is None else signed_percent(row.improvement_percent)
                where = f"{_value_words(shown.across, across)}, {_value_words(shown.down, down)}"
                cells.append(f"{where}: {number}, {WORDS[row.verdict]}, n = {row.n}")
    return "; ".join(cells) + "."


def _name(setting: str) -> str:
    return plain(setting.replace("_", " "))


def _value_words(name: str, value: Value) -> str:
    if name == "σ" and isinstance(value, str):
        return f"σ ~ {value}"
    return f"teacher {plain(str(value), LONGEST_LABEL)}" if name == "teacher" else setting_words(name, value)


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(shown: ImprovementMap) -> Figure:
    columns, rows = shown.columns, shown.rows
    figure, (axes,) = canvas(height=1.7 + 0.52 * len(rows))
    scale = _scale(shown)
    for (column, row), arm in shown.cells.items():
        place = rows.index(row), columns.index(column)
        number = arm.improvement_percent
        face = to_rgb(WITHOUT_NUMBER) if number is None else scale.to_rgba(np.array([number]))[0]
        axes.add_patch(_square(place, face))
        _write(axes, place, arm, face, size=8 if len(columns) <= 6 else 6.5)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.set_xticks(range(len(columns)), [_tick(value) for value in columns])
    axes.set_yticks(range(len(rows)), [_tick(value) for value in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel(_LABELS.get(shown.across, _name(shown.across)))
    axes.set_ylabel(_LABELS.get(shown.down, _name(shown.down)))
    axes.set_title(", ".join([plain(shown.student), seeds_each(row.n for row in shown.arms)]))
    bar = figure.colorbar(scale, ax=axes, fraction=0.05, pad=0.02, aspect=8 * len(rows))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    bar.set_label("improvement (%)")
    bar.outline.set_edgecolor(colour("muted"))
    return figure


def _square(place: tuple[int, int], face: Sequence[float]) -> Rectangle:
    row, column = place
    return Rectangle(
        (column - 0.5, row - 0.5), 1, 1, facecolor=tuple(face), edgecolor=colour("surface"), linewidth=1.5, zorder=2
    )


def _write(axes: Axes, place: tuple[int, int], arm: Row, face: Sequence[float], size: float) -> None:
    """Write improvement, mark and n into a cell."""
    mark = LOST if arm.is_lost else MARKS.get(arm.verdict, NO_VERDICT)
    number = signed_percent(arm.improvement_percent) if arm.improvement_percent is not None else ""
    planned = f" of {arm.n_planned}" if arm.is_lost else ""
    lines = [line for line in (number, f"{mark} n={arm.n}{planned}") if line]
    axes.text(
        place[1],
        place[0],
        "\n".join(lines),
        color=text_colour(face),
        fontsize=size,
        ha="center",
        va="center",
        linespacing=1.25,
        zorder=3,
    )


def text_colour(face: Sequence[float]) -> str:
    """The text colour with the higher contrast (WCAG 2.2) on a colour (red, green, blue from 0 to 1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in face[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return DARK_TEXT if (luminance + 0.05) ** 2 > 0.05 * 1.05 else LIGHT_TEXT


def shades() -> list[str]:
    """The colours of the map, from worse to better."""
    ramp = LinearSegmentedColormap.from_list("improvement", [WORSE, EQUAL, BETTER])
    return [to_hex(ramp((index + 0.5) / _SHADES)) for index in range(_SHADES)]


def _scale(shown: ImprovementMap) -> ScalarMappable:
    """From an improvement in per cent to a colour: the same distance on both sides of 0."""
    known = [abs(row.improvement_percent) for row in shown.arms if row.improvement_percent is not None]
    ends = MaxNLocator(nbins=_SHADES // 2, steps=[1, 2, 2.5, 4, 5, 8, 10]).tick_values(0, max([*known, 0.1]))
    limit = float(ends[-1])
    bounds = np.linspace(-limit, limit, _SHADES + 1)
    return ScalarMappable(BoundaryNorm(bounds, _SHADES), ListedColormap(shades()))


def _tick(value: Value) -> str:
    return plain(value) if isinstance(value, str) else f"{value:.4g}"
