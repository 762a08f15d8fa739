"""Learning curves: validation error by epoch, the mean of an arm over its seeds.

Works on a study's trials and on their metric histories, which it reads by run. Each student has one figure with the
baseline and a few arms, because many lines cannot be read. Arms that lost a seed have no curve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.results import frames
from study.results.arms import runs_of_lost_arms
from study.results.figures.material import Histories, Material
from study.results.figures.style import Sketch, canvas, colour, legend_below, line_look
from study.results.read import TrackedStudy
from study.results.teachers import Taught, teacher_labels
from study.results.wording import LONGEST_LABEL, count, method_words, plain, seeds_each, setting_words
from study.stages import CONFIRM, GRID
from study.tracking import schema

MAX_ARMS = 5
MAX_SEEDS = 10
"""The most seeds of an arm. Each seed is a request to the tracking server."""

_SAID_APART = frozenset({schema.SEED, schema.MULTIPLICATIONS, schema.PARAMETERS, schema.TEACHER_MULTIPLICATIONS})


@dataclass(frozen=True)
class ArmRuns:
    """The completed trials of an arm, or of the baseline.

    Attributes:
        settings: parameters as text, without the seed.
        val_error: mean of the best validation errors, a fraction of 1.
    """

    role: str
    stage: str
    settings: Mapping[str, str]
    run_ids: tuple[str, ...]
    val_error: float


@dataclass(frozen=True)
class Plan:
    """The arms of a student's figure, before the histories are read."""

    student: str
    arms: tuple[ArmRuns, ...]
    left_out: int

    @property
    def run_ids(self) -> list[str]:
        """Of all its trials."""
        return [run for arm in self.arms for run in arm.run_ids]


@dataclass(frozen=True)
class Curve:
    """Validation errors, fractions of 1, by epoch (rows) and run (columns), up to the last epoch that all runs have."""

    label: str
    is_baseline: bool
    errors: pd.DataFrame


@dataclass(frozen=True)
class Curves:
    """The figure of one student."""

    student: str
    curves: tuple[Curve, ...]
    left_out: int


def plans_of(tracked: TrackedStudy) -> list[Plan]:
    """The plans of all students. A student without arms has none."""
    by_student: dict[str, list[ArmRuns]] = {}
    for arm in _with_teacher_labels(tracked, _arms(tracked)):
        by_student.setdefault(arm.settings.get(schema.STUDENT, ""), []).append(arm)
    plans = []
    for student, arms in by_student.items():
        baselines = [arm for arm in arms if arm.role == "baseline"]
        others = [arm for arm in arms if arm.role != "baseline"]
        shown = _some(others, MAX_ARMS)
        plans.append(Plan(student, (*baselines[:1], *shown), len(others) - len(shown)))
    return plans


def curves_of(plan: Plan, histories: Histories) -> Curves | None:
    """The figure of a plan. None if no trial has a history of at least two epochs."""
    curves = []
    for arm, label in zip(plan.arms, _labels(plan.arms), strict=True):
        known = {run: histories[run] for run in arm.run_ids if run in histories and len(histories[run]) > 1}
        errors = pd.DataFrame(known).dropna()
        if len(errors) > 1:
            curves.append(Curve(label, arm.role == "baseline", errors))
    return Curves(plan.student, tuple(curves), plan.left_out) if curves else None


def _arms(tracked: TrackedStudy) -> list[ArmRuns]:
    trials = tracked.completed()
    trials = trials[~trials["run_id"].isin(runs_of_lost_arms(tracked))]
    names = [
        name
        for name in trials.columns
        if name.startswith("params.") and name.removeprefix("params.") not in _SAID_APART
    ]
    role, stage = f"tags.{schema.ROLE}", f"tags.{schema.STAGE}"
    if trials.empty:
        return []
    stages = trials[stage].where(trials[role] != "baseline", GRID)
    seed = f"params.{schema.SEED}"
    known = trials[["run_id", "end_time", role, *names]].assign(
        **{
            stage: stages,
            seed: frames.text(trials, seed),
            "error": frames.number(trials, f"metrics.{schema.BEST_VAL_ERROR}"),
        }
    )
    # As in the table: if an arm and seed was trained twice, the latest training counts.
    latest = known.sort_values("end_time", kind="stable").drop_duplicates([role, stage, seed, *names], keep="last")
    known = latest.sort_index()
    found = []
    for key, runs in known.groupby([role, stage, *names], sort=False, dropna=False):
        settings = {
            name.removeprefix("params."): str(value)
            for name, value in zip(names, key[2:], strict=True)
            if not pd.isna(value)  # type: ignore[call-overload]
        }
        found.append(
            ArmRuns(str(key[0]), str(key[1]), settings, tuple(runs["run_id"][:MAX_SEEDS]), float(runs["error"].mean()))
        )
    return found


def _with_teacher_labels(tracked: TrackedStudy, arms: Sequence[ArmRuns]) -> list[ArmRuns]:
    """The arms with their teachers in words. Names of teachers may be the same, and keys are hard to read."""

    def taught(arm: ArmRuns) -> Taught:
        known = arm.settings
        return Taught(known.get(schema.TEACHER, ""), known.get(schema.TEACHER_CHAIN), known.get(schema.TEACHER_KEY))

    labels = teacher_labels(tracked, map(taught, arms))
    return [
        replace(
            arm,
            settings={
                name: labels[taught(arm)] if name == schema.TEACHER else value
                for name, value in arm.settings.items()
                if name != schema.TEACHER_KEY
            },
        )
        for arm in arms
    ]


def _some(arms: Sequence[ArmRuns], number: int) -> list[ArmRuns]:
    """The best arm by validation error, and others spread evenly over the list, with the first and the last one."""
    if len(arms) <= number:
        return list(arms)
    best = min(range(len(arms)), key=lambda index: arms[index].val_error)
    evenly = [round(index * (len(arms) - 1) / (number - 1)) for index in range(number)]
    if best not in evenly:  # it replaces the nearest arm that is neither first nor last
        evenly[min(range(1, number - 1), key=lambda place: abs(evenly[place] - best))] = best
    return [arms[index] for index in sorted(evenly)]


def _labels(arms: Sequence[ArmRuns]) -> list[str]:
    """A label for each arm with the settings in which the arms differ."""
    others = [arm.settings for arm in arms if arm.role != "baseline"]
    names = list(dict.fromkeys(name for settings in others for name in settings))
    varying = [name for name in names if len({settings.get(name) for settings in others}) > 1]
    return ["baseline" if arm.role == "baseline" else _label(arm, varying or [schema.METHOD]) for arm in arms]


def _label(arm: ArmRuns, names: Sequence[str]) -> str:
    words = []
    for name in names:
        value = arm.settings.get(name)
        if name == schema.METHOD and value is not None:
            words.append(method_words(value))
        elif name in (schema.SIGMA, schema.ALPHA):
            words.append(_noise_words({"sigma": "σ", "alpha": "α"}[name], value))
        elif name == schema.TEACHER:
            words.append(f"teacher = {plain(value or 'none', LONGEST_LABEL)}")
        elif name != schema.SIGMA_MODE:
            words.append(setting_words(name, value))
    if arm.stage == CONFIRM:
        words.append("confirmed")
    return ", ".join(word for word in words if word)


def _noise_words(symbol: str, value: str | None) -> str:
    if value is None:
        return ""
    try:
        return f"{symbol} = {float(value):.3g}"
    except ValueError:
        return f"{symbol} ~ U{plain(value)}"


# ------------------------------------------------------------------------------------------------------------ words


def sketches(material: Material) -> list[Sketch]:
    """One figure for each student. All histories are read in one call."""
    plans = [plan for plan in plans_of(material.tracked) if plan.student in material.shown_students]
    if not plans:
        return []
    histories = material.read_histories([run for plan in plans for run in plan.run_ids], schema.VAL_ERROR)
    drawable = [found for plan in plans if (found := curves_of(plan, histories)) is not None]
    return [sketch(found, material.several_students) for found in drawable]


def sketch(shown: Curves, several: bool) -> Sketch:
    """The figure. `several` says whether the study has more students."""
    epochs = max(int(curve.errors.index[-1]) for curve in shown.curves)
    said = [
        f"Validation error by epoch: mean over seeds ({seeds_each(curve.errors.shape[1] for curve in shown.curves)}), "
        "and a band from the lowest to the highest seed. A line ends at the last epoch that all seeds of the arm have."
    ]
    if _top(shown) is not None:
        said.append("The first epochs lie above the figure.")
    if shown.left_out:
        said.append(
            f"Left out: {count(shown.left_out, 'arm')}. The figure shows the arm with the lowest validation error, and "
            "others spread evenly over the list."
        )
    return Sketch(
        name="learning-curves",
        heading=f"Learning curves: {plain(shown.student)}" if several else "Learning curves",
        title=_finding(shown, epochs),
        caption=" ".join(said),
        draw=lambda: _draw(shown),
    )


def _finding(shown: Curves, epochs: int) -> str:
    """The epoch with the lowest mean, which shows whether training was long enough."""
    baseline = next((curve for curve in shown.curves if curve.is_baseline), shown.curves[0])
    means = baseline.errors.mean(axis="columns")
    lowest = int(means.index[int(means.to_numpy().argmin())])
    whose = "The baseline's" if baseline.is_baseline else "The first arm's"
    last = int(means.index[-1])
    when = f"the last of {last} epochs" if lowest == last == epochs else f"epoch {lowest} of {last}"
    return f"{whose} validation error is lowest at {when}"


def _top(shown: Curves) -> float | None:
    """The upper end of the error axis. The first tenth of the epochs may lie above it, because it would leave no room
    for the others. None if there are too few epochs."""
    if min(len(curve.errors) for curve in shown.curves) < 10:
        return None
    return max(float(curve.errors.iloc[len(curve.errors) // 10].max()) for curve in shown.curves)


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(shown: Curves) -> Figure:
    figure, (axes,) = canvas(height=4.3)
    index = 0
    for curve in shown.curves:
        if curve.is_baseline:
            look: dict[str, Any] = {"color": colour("ink"), "linestyle": "-", "linewidth": 2.2}
        else:
            look, index = {**line_look(index), "markersize": 3.5}, index + 1
        percent = curve.errors * 100
        epochs = percent.index.to_numpy(dtype="float64")
        axes.plot(epochs, percent.mean(axis="columns"), label=curve.label, zorder=3, **look)
        low, high = percent.min(axis="columns"), percent.max(axis="columns")
        axes.fill_between(epochs, low, high, color=str(look["color"]), alpha=0.12, linewidth=0, zorder=2)
    if (top := _top(shown)) is not None:
        axes.set_ylim(top=top * 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation error (%)")
    axes.set_title(f"{plain(shown.student)}, {seeds_each(curve.errors.shape[1] for curve in shown.curves)}")
    legend_below(figure, axes)
    return figure
