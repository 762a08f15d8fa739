"""Every trial on the plane of σ and α, coloured by its validation error.

Works on a study's trials of any stage. Each student and method has a map. The colours are validation errors, because a
search does not use the test set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from study.results import frames
from study.results.arms import runs_of_lost_arms
from study.results.figures.material import Material
from study.results.figures.style import MANY, ORDERED_COLOURS, Sketch, canvas, colour, legend_below
from study.results.read import TrackedStudy
from study.results.teachers import Taught, teacher_labels
from study.results.wording import LONGEST_LABEL, count, method_words, plain, seeds_each
from study.stages import CONFIRM, GRID, SEARCH
from study.tracking import schema

Fate = Literal["completed", "pruned", "failed"]
_FATES: dict[str, Fate] = {"completed": "completed", "pruned": "pruned", "diverged": "failed", "failed": "failed"}
_WITH_NOISE = ("noisy_teacher", "noisy_student")


@dataclass(frozen=True)
class Spot:
    """One setting of the map.

    Attributes:
        val_error: best validation error, a fraction of 1, mean over its seeds; None if there is none.
        n: the number of seeds.
    """

    sigma: float
    alpha: float
    stage: str
    fate: Fate
    val_error: float | None
    n: int


@dataclass(frozen=True)
class TrialMap:
    """The trials of one student, method and teacher. `teacher` distinguishes it from the study's other teachers."""

    student: str
    method: str
    teacher: str
    spots: tuple[Spot, ...]

    def of(self, fate: Fate, *stages: str) -> list[Spot]:
        """The spots of a fate and of stages."""
        return [spot for spot in self.spots if spot.fate == fate and spot.stage in stages]

    @property
    def coloured(self) -> list[Spot]:
        """The spots with a colour: completed trials of search and grid."""
        return [spot for spot in self.of("completed", SEARCH, GRID) if spot.val_error is not None]


def maps_of(tracked: TrackedStudy) -> list[TrialMap]:
    """The maps of a study. A map needs at least three settings with a result, over several σ and several α.

    A setting of the grid or the confirmation that lost a seed has no result.
    """
    trials = tracked.trials
    fates = frames.text(trials, f"tags.{schema.OUTCOME}").map(_FATES)
    fates = fates.mask(trials["run_id"].isin(runs_of_lost_arms(tracked)), "failed")
    known = pd.DataFrame(
        {
            "student": frames.text(trials, f"params.{schema.STUDENT}"),
            "method": frames.text(trials, f"params.{schema.METHOD}"),
            "teacher": _teachers(tracked),
            "stage": frames.text(trials, f"tags.{schema.STAGE}"),
            "fate": fates,
            "sigma": frames.number(trials, f"params.{schema.SIGMA}"),
            "alpha": frames.number(trials, f"params.{schema.ALPHA}"),
            "error": frames.number(trials, f"metrics.{schema.BEST_VAL_ERROR}"),
        }
    )[frames.text(trials, f"tags.{schema.ROLE}") == "arm"]
    known = known[known["method"].isin(_WITH_NOISE)].dropna(subset=["student", "stage", "fate", "sigma", "alpha"])
    maps = []
    for (student, method, teacher), of_map in known.groupby(["student", "method", "teacher"], sort=False):
        found = TrialMap(str(student), str(method), str(teacher), tuple(_spots(of_map)))
        if len(found.coloured) >= 3 and _spreads(found.coloured):
            maps.append(found)
    return maps


def _teachers(tracked: TrackedStudy) -> "pd.Series[str]":
    """A name for the teacher of every trial. Empty if the trial has no teacher."""
    parts = [
        frames.text(tracked.trials, f"params.{name}").astype(object)
        for name in (schema.TEACHER, schema.TEACHER_CHAIN, schema.TEACHER_KEY)
    ]
    texts = ([None if pd.isna(text) else str(text) for text in texts] for texts in zip(*parts, strict=True))
    known = [Taught(teacher or "", chain, key) for teacher, chain, key in texts]
    labels = teacher_labels(tracked, known)
    words = [labels[each] if each.chain is None else f"{labels[each]}, {each.chain}" for each in known]
    return pd.Series(words, index=tracked.trials.index, dtype="str")


def _spots(trials: pd.DataFrame) -> list[Spot]:
    known = trials.groupby(["stage", "fate", "sigma", "alpha"], sort=False, as_index=False)["error"].agg(
        ["mean", "size"]
    )
    return [
        Spot(
            sigma=spot["sigma"],
            alpha=spot["alpha"],
            stage=spot["stage"],
            fate=spot["fate"],
            val_error=None if np.isnan(spot["mean"]) else spot["mean"],
            n=spot["size"],
        )
        for spot in known.to_dict("records")
    ]


def _spreads(spots: Sequence[Spot]) -> bool:
    return len({spot.sigma for spot in spots}) > 1 and len({spot.alpha for spot in spots}) > 1


# ------------------------------------------------------------------------------------------------------------ words


def sketches(material: Material) -> list[Sketch]:
    """One map for each student, method and teacher."""
    maps = [found for found in maps_of(material.tracked) if found.student in material.shown_students]
    teachers = len({found.teacher for found in maps}) > 1
    return [sketch(found, len(maps) > 1, teachers) for found in maps]


def sketch(shown: TrialMap, several: bool, teachers: bool = False) -> Sketch:
    """The figure of a map.

    Args:
        shown: the map.
        several: whether the study has several maps.
        teachers: whether the maps have different teachers.
    """
    confirmed = {(spot.sigma, spot.alpha) for spot in shown.of("completed", CONFIRM)}
    # With few validation images several spots can be equal. Then the title names one that was confirmed.
    best = min(
        shown.coloured,
        key=lambda spot: (spot.val_error, (spot.sigma, spot.alpha) not in confirmed, spot.sigma, spot.alpha),
    )
    where = f"σ = {best.sigma:.3g}, α = {best.alpha:.3g}"
    error = f"{100 * (best.val_error or 0):.2f} %"
    heading = "Every trial over σ and α"
    if several:
        heading += f": {plain(shown.student)}, {method_words(shown.method)}"
    if teachers:
        heading += f", teacher {plain(shown.teacher, LONGEST_LABEL)}"
    return Sketch(
        name="sigma-alpha-map",
        heading=heading,
        title=f"Lowest validation error, {error}, at {where}",
        caption=_caption(shown),
        draw=lambda: _draw(shown),
    )


def _caption(shown: TrialMap) -> str:
    searched, pruned = shown.of("completed", SEARCH), shown.of("pruned", SEARCH)
    gridded, confirmed = shown.of("completed", GRID), shown.of("completed", CONFIRM)
    failed = sum(spot.n for spot in shown.of("failed", SEARCH, GRID, CONFIRM))
    said = ["Colour: best validation error. Lighter is lower."]
    if searched:
        said.append(f"Circles: {count(len(searched), 'search trial')}, each on one seed (n = 1 seed).")
    if gridded:
        said.append(f"Squares: {count(len(gridded), 'grid point')}, mean over {seeds_each(s.n for s in gridded)}.")
    if pruned:
        said.append(f"Crosses: {count(len(pruned), 'trial')} stopped early. Their errors cannot be compared.")
    if confirmed:
        said.append(
            f"Rings: {count(len(confirmed), 'point')} trained again on fresh seeds, "
            f"{seeds_each(spot.n for spot in confirmed)}."
        )
    if failed:
        said.append(f"Triangles: {count(failed, 'trial')} that diverged or failed, or whose arm lost a seed.")
    said.append("The lowest error of many trials is too low on average.")
    return " ".join(said)


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(shown: TrialMap) -> Figure:
    figure, (axes,) = canvas(height=4.4)
    percents = [100 * (spot.val_error or 0) for spot in shown.coloured]
    bounds = _bounds(percents)
    scale = _colour_bar(figure, axes, bounds, beyond=max(percents) > bounds[-1])
    for stage, marker, size, label in ((GRID, "s", 46, "grid point"), (SEARCH, "o", 34, "search trial")):
        spots = [spot for spot in shown.of("completed", stage) if spot.val_error is not None]
        if spots:
            axes.scatter(
                *_places(spots),
                color=scale.to_rgba(np.array([100 * (spot.val_error or 0) for spot in spots])),
                marker=marker,
                s=size,
                edgecolors=colour("ink"),
                linewidths=0.6,
                label=label,
                rasterized=len(spots) >= MANY,
                zorder=3,
            )
    for fate, marker, label in (("pruned", "x", "stopped early"), ("failed", "^", "diverged or failed")):
        if spots := shown.of(fate, SEARCH, GRID, CONFIRM):  # type: ignore[arg-type]
            look = (
                {"color": colour("muted")} if marker == "x" else {"facecolors": "none", "edgecolors": colour("muted")}
            )
            axes.scatter(*_places(spots), marker=marker, s=26, linewidths=1.1, label=label, zorder=2, **look)  # type: ignore[arg-type]
    if confirmed := shown.of("completed", CONFIRM):
        axes.scatter(
            *_places(confirmed),
            marker="o",
            s=130,
            facecolors="none",
            edgecolors=colour("vermillion"),
            linewidths=1.8,
            label="confirmed on fresh seeds",
            zorder=4,
        )
    axes.set_xlabel("σ, standard deviation of the noise")
    axes.set_ylabel("α, share of perturbed samples")
    axes.set_title(f"{plain(shown.student)}, {method_words(shown.method)}")
    axes.margins(0.06)
    legend_below(figure, axes)
    return figure


def _places(spots: Sequence[Spot]) -> tuple[list[float], list[float]]:
    return [spot.sigma for spot in spots], [spot.alpha for spot in spots]


def _bounds(percents: Sequence[float]) -> list[float]:
    """Round limits of at most six shades. The worst tenth has the last shade, because it would need all of them."""
    low, high = min(percents), float(np.quantile(percents, 0.9))
    if high - low < 1e-9:
        return [low - 0.05, low + 0.05]
    return [float(tick) for tick in MaxNLocator(nbins=5).tick_values(low, high)]


def _shades(number: int) -> list[str]:
    last = len(ORDERED_COLOURS) - 1
    return [ORDERED_COLOURS[round(index * last / max(number - 1, 1))] for index in range(number)]


def _colour_bar(figure: Figure, axes: Axes, bounds: Sequence[float], beyond: bool) -> ScalarMappable:
    """Draw the scale beside the map. Returns the mapping from errors to colours."""
    shades = _shades(len(bounds) - 1)
    scale = ScalarMappable(
        BoundaryNorm(list(bounds), len(shades)), ListedColormap(shades).with_extremes(over=shades[-1])
    )
    bar = figure.colorbar(
        scale, ax=axes, ticks=list(bounds), extend="max" if beyond else "neither", fraction=0.05, pad=0.02
    )
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.set_label("validation error (%)")
    bar.outline.set_edgecolor(colour("muted"))
    return scale
