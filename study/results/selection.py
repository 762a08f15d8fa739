"""Which rows a table has: their order, their baselines, and the settings that differ between them.

Works on a tracked study and its arms. Knows nothing of statistics or of how a table is printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from study.results.arms import Arm, ArmSeeds, arms_of
from study.results.read import TrackedStudy
from study.results.teachers import Taught, teacher_labels, teacher_settings
from study.stages import GRID
from study.tracking import schema

DEFAULT_BASELINE_KIND = "default settings"


def ordered_arms(tracked: TrackedStudy) -> tuple[dict[Arm, ArmSeeds], list[str]]:
    """The arms in the order of the table's rows, and notes on their trainings.

    Teachers of one name come in the order in which they were trained.
    """
    found, notes = arms_of(tracked)
    trained = {key: place for place, key in enumerate(teacher_settings(tracked))}

    def order(arm: Arm) -> tuple[Any, ...]:
        keys = (arm.teacher_key or "").split("+")
        return *_order(arm), [trained.get(key, len(trained)) for key in keys], keys, _settings_order(arm)

    return {arm: found[arm] for arm in sorted(found, key=order)}, notes


def runs_of_rows(tracked: TrackedStudy) -> tuple[Mapping[int, str], ...]:
    """For every row of `table_of`, in its order: the run of each seed that has a test error.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    arms, _ = ordered_arms(tracked)
    return tuple({seed: trial.run_id for seed, trial in seeds.completed.items()} for seeds in arms.values())


def varying_settings(arms: Iterable[Arm]) -> tuple[str, ...]:
    """Names of the settings that differ between rows. A missing setting counts as a value."""
    settings = [dict(arm.settings) for arm in arms]
    names = sorted({name for of_arm in settings for name in of_arm})
    return tuple(name for name in names if len({of_arm.get(name) for of_arm in settings}) > 1)


def labels_of_teachers(
    tracked: TrackedStudy,
    arms: Iterable[Arm],
    beside: Sequence[TrackedStudy] = (),
    others: Iterable[Iterable[Arm]] = (),
) -> dict[Arm, str]:
    """The teachers of the rows in words. Empty if all rows with a teacher have the same one.

    Args:
        tracked: the study.
        arms: its rows.
        beside: other studies of the same table.
        others: their rows.
    """
    taught = {arm: Taught.of(arm) for arm in arms if arm.teacher}
    of_others = [Taught.of(arm) for of_study in others for arm in of_study if arm.teacher]
    if len({(each.teacher, each.key) for each in (*taught.values(), *of_others)}) < 2:
        return {}
    all_teachers = replace(tracked, teachers=pd.concat([each.teachers for each in (tracked, *beside)]))
    labels = teacher_labels(all_teachers, [*taught.values(), *of_others])
    return {arm: labels[each] for arm, each in taught.items()}


def baseline_kind(tracked: TrackedStudy) -> str:
    """How the settings of the baseline were found: by the parent run, or, if it does not say, by its trials."""
    _, of_baseline = tracked.searched()
    return tracked.params.get(schema.BASELINE_KIND, DEFAULT_BASELINE_KIND if of_baseline.empty else "searched")


def baselines_of(arms: Mapping[Arm, ArmSeeds]) -> tuple[dict[str, ArmSeeds], list[str]]:
    """The baseline of every student that has exactly one, and notes on the other students."""
    of_student: dict[str, list[Arm]] = {arm.student: [] for arm in arms}
    for arm in arms:
        if arm.role == "baseline":
            of_student[arm.student].append(arm)
    notes = []
    for student, found in sorted(of_student.items()):
        if not any(arms[arm].completed or arms[arm].lost for arm in found):
            notes.append(f"No completed baseline for the student {student}: its arms have no improvement.")
        elif len(found) > 1:
            notes.append(
                f"{len(found)} different baselines for the student {student}: it is not known which of them its arms "
                "belong to, so they have no improvement."
            )
    only = {student: arms[found[0]] for student, found in of_student.items() if len(found) == 1}
    return {student: seeds for student, seeds in only.items() if seeds.completed or seeds.lost}, notes


def _order(arm: Arm) -> tuple[Any, ...]:
    sigma = arm.sigma if isinstance(arm.sigma, tuple) else (arm.sigma or 0.0, 0.0)
    return (
        arm.student,
        arm.role != "baseline",
        arm.stage != GRID,
        arm.method,
        arm.sigma_mode or "",
        sigma,
        arm.alpha or 0.0,
        arm.noise or "",
        arm.teacher,
    )


def _settings_order(arm: Arm) -> list[Any]:
    return [(name, isinstance(value, str), value) for name, value in arm.settings]
