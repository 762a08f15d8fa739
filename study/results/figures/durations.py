"""Training seconds by stage, and of every training.

Works on a study's trials and teachers.
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from study.results import frames
from study.results.figures.material import Material
from study.results.figures.style import MANY, Sketch, canvas, colour
from study.results.read import TrackedStudy
from study.results.wording import count
from study.stages import STAGES_OF_STUDENTS, WORDS
from study.tracking import schema

_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_GOLDEN = 0.618034
"""Multiples of it, modulo 1, spread points evenly without random numbers."""


@dataclass(frozen=True)
class Durations:
    """Seconds.

    Attributes:
        of_trials: training seconds of every run, by stage (teachers first); stages without runs are left out.
        wall: from the first start to the last end, including pauses; None if it is not known.
    """

    of_trials: dict[str, tuple[float, ...]]
    wall: float | None

    @property
    def total(self) -> float:
        """All training seconds."""
        return sum(sum(seconds) for seconds in self.of_trials.values())


def durations_of(tracked: TrackedStudy) -> Durations | None:
    """The figure's content. None if no run has its training time."""
    column = f"metrics.{schema.TRAIN_SECONDS}"
    stages = frames.text(tracked.trials, f"tags.{schema.STAGE}")
    seconds = {"teacher": frames.number(tracked.teachers, column)} | {
        stage: frames.number(tracked.trials, column)[stages == stage] for stage in STAGES_OF_STUDENTS
    }
    known = {
        stage: tuple(float(value) for value in of_stage.dropna())
        for stage, of_stage in seconds.items()
        if of_stage.notna().any()
    }
    if not any(sum(of_stage) for of_stage in known.values()):
        return None
    runs = pd.concat([tracked.trials, tracked.teachers])
    began, ended = frames.number(runs, "start_time").min(), frames.number(runs, "end_time").max()
    wall = (ended - began) / 1000
    return Durations(known, float(wall) if wall > 0 else None)


def sketches(material: Material) -> list[Sketch]:
    """One figure, if the runs have their training time."""
    found = durations_of(material.tracked)
    return [] if found is None else [sketch(found)]


def sketch(shown: Durations) -> Sketch:
    """The figure."""
    stage, longest = max(shown.of_trials.items(), key=lambda item: sum(item[1]))
    share = f"{sum(longest) / shown.total:.0%}".replace("%", " %")
    wall = f", done in {_in_words(shown.wall)}" if shown.wall is not None else ""
    trials = count(sum(len(seconds) for seconds in shown.of_trials.values()), "training")
    return Sketch(
        name="where-time-went",
        heading="Where time went",
        title=f"{WORDS[stage].capitalize()} took {share} of {_in_words(shown.total)} of training{wall}",
        caption=f"Top: training time of {trials} (n = 1 seed each), with validation, without the time that a trial "
        "waits for a worker. Bottom: each dot is one training, and the line is the median. Several trainings may run "
        "at the same time. So their sum may be longer than the time from the first start to the last end, which "
        "includes pauses.",
        draw=lambda: _draw(shown),
    )


def _in_words(seconds: float) -> str:
    size, unit = _unit(seconds)
    return f"{seconds / size:.3g} {unit}"


def _unit(seconds: float) -> tuple[float, str]:
    return next(((size, unit) for size, unit in _UNITS if seconds >= 1.5 * size), _UNITS[-1])


def _draw(shown: Durations) -> Figure:
    stages = list(shown.of_trials)[::-1]
    figure, (sums, each) = canvas(height=2.4 + 0.62 * len(stages), panels=(2, 1))
    places = range(len(stages))
    size, unit = _unit(max(sum(seconds) for seconds in shown.of_trials.values()))
    totals = [sum(shown.of_trials[stage]) / size for stage in stages]
    bars = sums.barh(places, totals, color=colour("blue"), height=0.6)
    labels = [
        f"{total:.3g} {unit}, {count(len(shown.of_trials[s]), 'run')}" for s, total in zip(stages, totals, strict=True)
    ]
    sums.bar_label(bars, labels=labels, padding=4, fontsize=9)
    sums.set_xlim(0, max(totals) * 1.45)
    sums.set_xlabel(f"training time, all together ({unit})")

    size, unit = _unit(max(max(seconds) for seconds in shown.of_trials.values()))
    for place, stage in zip(places, stages, strict=True):
        seconds = [value / size for value in shown.of_trials[stage]]
        heights = [place + 0.5 * ((0.5 + index * _GOLDEN) % 1 - 0.5) for index in range(len(seconds))]
        dots = each.plot(seconds, heights, ".", color=colour("vermillion"), alpha=0.7, markersize=5)
        dots[0].set_rasterized(len(seconds) >= MANY)
        if len(seconds) > 2:
            middle = float(pd.Series(seconds).median())
            each.plot([middle, middle], [place - 0.34, place + 0.34], color=colour("ink"), linewidth=1.8)
    each.set_xlabel(f"training time of one run ({unit})")
    each.set_xlim(left=0)
    each.set_ylim(-0.6, len(stages) - 0.4)
    for axes in (sums, each):
        axes.set_yticks(places, [WORDS[stage] for stage in stages])
        axes.grid(visible=False, axis="y")
    return figure
