"""The look of all figures, and the drawn figure as SVG and PNG.

Works on matplotlib figures. Knows nothing of studies. The colours are those of Okabe & Ito, "Color Universal Design"
(2008), which people with any colour vision can distinguish. Lines also differ in marker and dash, so that they can be
distinguished in black and white. A figure is drawn once, in the light colours. In a page its SVG refers to them by
name, so that the page's theme sets them.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import matplotlib
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # since matplotlib 3.11

WIDTH = 5.6
"""Inches. It is narrow, so that the text is legible on a phone."""
HEIGHT = 3.8
DOTS_PER_INCH = 200

MANY = 2000
"""With this many points or more, the points are one image inside the SVG, which would have megabytes otherwise."""

COLOURS: dict[str, tuple[str, str]] = {
    "ink": ("#1a1d21", "#e8eaed"),
    "muted": ("#5b636d", "#a5adb7"),
    "grid": ("#dde1e6", "#343a42"),
    "surface": ("#ffffff", "#16191d"),
    "blue": ("#0072b2", "#4aa3e0"),
    "vermillion": ("#d55e00", "#f0803c"),
    "green": ("#009e73", "#2ec79b"),
    "purple": ("#cc79a7", "#e39bc4"),
    "orange": ("#e69f00", "#f3bd4e"),
    "sky": ("#56b4e9", "#a3dbff"),
}
"""By name: the colour in the light theme, and the colour in the dark theme."""

LINE_COLOURS = ("blue", "vermillion", "green", "purple", "orange", "sky")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LEGEND_WIDTH, _LEGEND_HANDLE = 80, 9  # in characters

ORDERED_COLOURS = ("#fde725", "#90d743", "#35b779", "#21918c", "#31688e", "#443983")
"""From low to high, from light to dark (matplotlib's viridis), so that they can be read without seeing hues."""

_SETTINGS: dict["RcKeyType", Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": COLOURS["muted"][0],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": COLOURS["ink"][0],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLOURS["muted"][0],
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": COLOURS["surface"][0],
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "font.size": 10,
    "grid.color": COLOURS["grid"][0],
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.facecolor": COLOURS["surface"][0],
    "svg.fonttype": "path",
    "svg.hashsalt": "noisy-study",
    "text.color": COLOURS["ink"][0],
    "text.parse_math": False,  # names are a user's text, and may contain a dollar sign
    "xtick.color": COLOURS["muted"][0],
    "xtick.labelcolor": COLOURS["ink"][0],
    "ytick.color": COLOURS["muted"][0],
    "ytick.labelcolor": COLOURS["ink"][0],
}


@dataclass(frozen=True)
class Picture:
    """A figure that was drawn.

    Attributes:
        name: the name of its files, without the suffix.
        heading: what kind of figure it is, in a few words.
        title: what it shows, in one sentence.
        caption: how to read it, and how many seeds it has.
        svg: a whole SVG file in the light colours.
        png: the same as PNG, 200 dots an inch.
        alternative: the content in words, for people who do not see the figure; empty if title and caption have it.
    """

    name: str
    heading: str
    title: str
    caption: str
    svg: str
    png: bytes
    alternative: str = ""

    def inline(self) -> str:
        """The SVG for a page. It fills its place, takes its colours from the page's `--figure-…` variables, and has ids
        that no other figure has."""
        svg = self.svg[self.svg.index("<svg ") :]
        svg = re.sub(r' (?:width|height|version|xmlns|xmlns:xlink)="[^"]*"(?=[^<]*viewBox|[^<>]*>)', "", svg, count=5)
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{self.name}-\1"', svg)
        svg = re.sub(r'(href="|url\()#', rf"\1#{self.name}-", svg)
        return re.sub(r"(?<=[: ])#[0-9a-f]{6}(?=[;\"])", _by_variable, svg)


@dataclass(frozen=True)
class Sketch:
    """A figure that is not drawn yet: its texts, and the function that draws it after the style is set."""

    name: str
    heading: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    alternative: str = ""

    def finish(self) -> Picture:
        """Draw it. The same sketch gives the same bytes."""
        with _applied():
            figure = self.draw()
            figure.suptitle(
                _evenly_wrapped(self.title), x=0.012, horizontalalignment="left", fontsize=11, fontweight="bold"
            )
            svg = _svg(figure)
            figure.set_layout_engine("none")  # the layout is finished
            return Picture(self.name, self.heading, self.title, self.caption, svg, _png(figure), self.alternative)


def theme(dark: bool) -> dict[str, str]:
    """The page's variables for one theme: `--figure-ink` and so on."""
    return {f"--figure-{name}": of_theme[dark] for name, of_theme in COLOURS.items()}


def colour(name: str) -> str:
    """A colour of `COLOURS` as figures are drawn with it."""
    return COLOURS[name][0]


def line_look(index: int) -> dict[str, Any]:
    """Colour, dash and marker of a line. No two lines of a figure have the same look."""
    return {
        "color": colour(LINE_COLOURS[index % len(LINE_COLOURS)]),
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def canvas(height: float = HEIGHT, panels: tuple[int, int] = (1, 1), **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with rows × columns of axes; `options` are those of `Figure.subplots`."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(*panels, squeeze=False, **options)
    return figure, list(axes.flat)


def name_above(axes: Axes, name: str, x: float, y: float) -> None:
    """A name over a point, legible across lines."""
    halo = withStroke(linewidth=3, foreground=colour("surface"))
    look: dict[str, Any] = {"fontsize": 8, "color": colour("muted"), "path_effects": [halo], "zorder": 5}
    axes.annotate(name, (x, y), xytext=(0, 3), textcoords="offset points", ha="center", va="bottom", **look)


def _legend_columns(labels: Sequence[str]) -> int:
    return max(1, min(3, _LEGEND_WIDTH // (max(map(len, labels), default=0) + _LEGEND_HANDLE)))


def legend_height(labels: Sequence[str]) -> float:
    """The inches that a legend with more than three lines needs in addition to `HEIGHT`."""
    return 0.2 * max(0, -(-len(labels) // _legend_columns(labels)) - 3)


def legend_below(figure: Figure, axes: Axes) -> None:
    """The legend below the axes, in as many columns as fit. Points with intervals come first."""
    entries = list(zip(*axes.get_legend_handles_labels(), strict=True))
    entries.sort(key=lambda entry: not isinstance(entry[0], ErrorbarContainer))
    if entries:
        columns = _legend_columns([str(label) for _, label in entries])
        figure.legend(*zip(*entries, strict=True), loc="outside lower left", ncols=columns)


def log_scale(axes: Axes, axis: str) -> None:
    """A logarithmic axis (`x` or `y`) with plain numbers instead of powers."""
    getattr(axes, f"set_{axis}scale")("log")
    ticks = getattr(axes, f"{axis}axis")
    low, high = sorted(getattr(axes, f"get_{axis}lim")())
    is_wide = high > 8 * low
    ticks.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if is_wide else MaxNLocator(6, steps=[1, 2, 5, 10]))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())


@contextmanager
def _applied() -> Iterator[None]:
    with matplotlib.rc_context(), catch_warnings():
        # Characters that the font does not have are drawn as boxes. The table in the page has the whole name.
        filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()  # a user's own matplotlibrc is ignored, so that everybody gets the same figure
        matplotlib.rcParams.update(_SETTINGS)
        yield


def _evenly_wrapped(title: str, width: int = 60) -> str:
    """Wrap a title into as few lines as possible, of about the same length."""
    title = re.sub("([σα]) = ", "\\1\u00a0=\u00a0", title)  # a symbol and its value stay together
    lines = len(textwrap.wrap(title, width))
    return textwrap.fill(title, next(w for w in range(1, width + 1) if len(textwrap.wrap(title, w)) <= lines))


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    # matplotlib's comments contain the texts of the figure, also names from the tracking server. They are not needed.
    return re.sub(r"[ \t]*<!--.*?-->\n?", "", file.getvalue(), flags=re.DOTALL)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()


_NAMES = {light: name for name, (light, _) in COLOURS.items()}


def _by_variable(found: re.Match[str]) -> str:
    name = _NAMES.get(found.group())
    return found.group() if name is None else f"var(--figure-{name})"
