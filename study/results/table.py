"""The improvement-over-baseline table: arms over their seeds, each against the baseline of the same student.

Works on what `study.results.read` took off the tracking server, and on the published numbers. Knows nothing of how a
table is printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search_spaces.published import find_published, published_improvement_percent
from study.results.arms import Arm, ArmSeeds, arms_of
from study.results.notes import (
    collapsed_notes,
    cost_notes,
    lost_notes,
    method_notes,
    pairing_notes,
    published_notes,
    search_notes,
    target_notes,
    teacher_notes,
)
from study.results.read import TrackedStudy, read_study
from study.results.rows import SIGNIFICANCE, Cost, Row, Speed, Table
from study.results.statistics import Comparison, compare, holm, mean, student_interval
from study.results.teachers import Taught, key_notes, teacher_labels, teacher_settings
from study.results.verdicts import Verdict
from study.results.versions import version_notes
from study.tracking import schema

DEFAULT_BASELINE_KIND = "default settings"


def build_table(tracking_uri: str, study: str) -> Table:
    """Read a study off the tracking server and make its table.

    Args:
        tracking_uri: of an MLflow server, or `sqlite:///FILE`.
        study: the study's name.

    Raises:
        UserError: the server does not answer, has no such study, or a trial's parameters cannot be read.
    """
    return table_of(read_study(tracking_uri, study))


def table_of(tracked: TrackedStudy) -> Table:
    """The table of a study that was read already.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    arms, arm_notes = _ordered_arms(tracked)
    baselines, baseline_notes = _baselines(arms)
    comparisons = {
        arm: _compare(baselines.get(arm.student), seeds) for arm, seeds in arms.items() if arm.role != "baseline"
    }
    p_values = [found.p_value if found else None for found in comparisons.values()]
    corrected = dict(zip(comparisons, holm(p_values, planned=len(p_values)), strict=True))
    varying = _varying(arms)
    published, of_published = published_notes(tracked, arms)
    costs = _costs(arms)
    teachers = _teacher_labels(tracked, arms)
    rows = tuple(
        _row(
            arm,
            arms[arm],
            baselines.get(arm.student),
            comparisons.get(arm),
            corrected.get(arm),
            varying,
            published,
            costs.get(arm),
            teachers.get(arm),
        )
        for arm in arms
    )
    kind = _baseline_kind(tracked)
    notes = [
        *method_notes(kind, arms),
        *search_notes(tracked, [arm for arm, seeds in arms.items() if seeds.completed or seeds.lost]),
        *teacher_notes(tracked, published),
        *key_notes(arms),
        *version_notes(tracked),
        *of_published,
        *lost_notes(arms),
        *collapsed_notes(arms),
        *arm_notes,
        *baseline_notes,
        *pairing_notes(arms, baselines, comparisons),
        *target_notes(arms),
        *_cost_notes(list(costs.values())),
    ]
    return Table(tracked.name, kind, tuple(notes), rows)


def runs_of_rows(tracked: TrackedStudy) -> tuple[Mapping[int, str], ...]:
    """For every row of `table_of`, in its order: the run of each seed that has a test error.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    arms, _ = _ordered_arms(tracked)
    return tuple({seed: trial.run_id for seed, trial in seeds.completed.items()} for seeds in arms.values())


def _ordered_arms(tracked: TrackedStudy) -> tuple[dict[Arm, ArmSeeds], list[str]]:
    """The arms in the order of the table's rows, and notes on their trainings; teachers of one name in the order in
    which they were trained."""
    found, notes = arms_of(tracked)
    trained = {key: place for place, key in enumerate(teacher_settings(tracked))}

    def order(arm: Arm) -> tuple[Any, ...]:
        keys = (arm.teacher_key or "").split("+")
        return *_order(arm), [trained.get(key, len(trained)) for key in keys], keys, _settings_order(arm)

    return {arm: found[arm] for arm in sorted(found, key=order)}, notes


def _teacher_labels(tracked: TrackedStudy, arms: Iterable[Arm]) -> dict[Arm, str]:
    """What to call the teachers of the rows; empty where all rows with a teacher have the same."""
    taught = {arm: Taught.of(arm) for arm in arms if arm.teacher}
    if len({(each.teacher, each.key) for each in taught.values()}) < 2:
        return {}
    labels = teacher_labels(tracked, taught.values())
    return {arm: labels[each] for arm, each in taught.items()}


def _baseline_kind(tracked: TrackedStudy) -> str:
    """What the parent run says; where it says nothing, what its trials tell."""
    _, of_baseline = tracked.searched()
    return tracked.params.get(schema.BASELINE_KIND, DEFAULT_BASELINE_KIND if of_baseline.empty else "searched")


def _baselines(arms: Mapping[Arm, ArmSeeds]) -> tuple[dict[str, ArmSeeds], list[str]]:
    """The baseline of every student that has exactly one, and notes on the students that have not."""
    of_student: dict[str, list[Arm]] = {arm.student: [] for arm in arms}
    for arm in arms:
        if arm.role == "baseline":
            of_student[arm.student].append(arm)
    notes = []
    for student, found in sorted(of_student.items()):
        if not any(arms[arm].completed or arms[arm].lost for arm in found):
            notes.append(f"No completed baseline for the student {student}: its arms stand without an improvement.")
        elif len(found) > 1:
            notes.append(
                f"{len(found)} different baselines for the student {student}: which of them its arms are to be "
                "compared with is not said, so they stand without an improvement."
            )
    only = {student: arms[found[0]] for student, found in of_student.items() if len(found) == 1}
    return {student: seeds for student, seeds in only.items() if seeds.completed or seeds.lost}, notes


def _compare(baseline: ArmSeeds | None, arm: ArmSeeds) -> Comparison | None:
    return None if baseline is None else compare(baseline.usable_errors, arm.usable_errors)


def _row(
    arm: Arm,
    seeds: ArmSeeds,
    baseline: ArmSeeds | None,
    comparison: Comparison | None,
    p_corrected: float | None,
    varying: Sequence[str],
    published: str | None,
    cost: Cost | None,
    teacher_label: str | None,
) -> Row:
    errors = list(seeds.usable_errors.values())
    diverged = sum(trial.outcome == "diverged" for trial in seeds.lost.values())
    settings = dict(arm.settings)
    published_error, published_improvement = _published_numbers(arm, published)
    return Row(
        arm=arm,
        stage=_stage(seeds),
        n=len(seeds.errors),
        n_planned=len(seeds.planned),
        n_diverged=diverged,
        n_failed=len(seeds.lost) - diverged,
        errors=seeds.errors,
        test_error_mean=mean(errors) if errors else None,
        test_error_ci95=student_interval(errors) if errors else None,
        improvement_percent=comparison.improvement_percent if comparison else None,
        improvement_ci95=comparison.improvement_ci95 if comparison else None,
        p_value=comparison.p_value if comparison else None,
        p_corrected=p_corrected,
        verdict=_verdict(arm, seeds, baseline, comparison, p_corrected),
        compression_ratio=seeds.any_trial.compression_ratio,
        published_error_percent=published_error,
        published_improvement_percent=published_improvement,
        settings={name: settings.get(name) for name in varying},
        speed=_speed(seeds) if schema.TARGET_ERROR in settings else None,
        cost=cost,
        teacher_label=teacher_label,
    )


def _stage(seeds: ArmSeeds) -> str:
    stages = {trial.stage for trial in seeds.trials.values()}
    return "grid" if "grid" in stages else "confirm"


def _costs(arms: Mapping[Arm, ArmSeeds]) -> dict[Arm, Cost]:
    """Every row's cost and whether it is on the front; empty where no two are known to cost differently."""
    multiplications = {arm: seeds.any_trial.multiplications for arm, seeds in arms.items()}
    if len(set(multiplications.values()) - {None}) < 2:
        return {}
    points = {
        arm: (mean(list(arms[arm].usable_errors.values())), count)
        for arm, count in multiplications.items()
        if count is not None and arms[arm].usable_errors
    }
    return {
        arm: Cost(multiplications[arm], _on_front(points[arm], points.values()) if arm in points else None)
        for arm in arms
    }


def _cost_notes(costs: Sequence[Cost]) -> list[str]:
    unknown = sum(cost.multiplications is None for cost in costs)
    return cost_notes(len(costs), unknown, sum(cost.pareto is None for cost in costs) - unknown)


def _on_front(point: tuple[float, int], others: Iterable[tuple[float, int]]) -> bool:
    return not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in others)


def _speed(seeds: ArmSeeds) -> Speed:
    reached = [trial for trial in seeds.completed.values() if trial.epochs_to_target is not None]
    if seeds.lost:
        return Speed(len(reached), None, None)
    return Speed(
        len(reached),
        _mean_of_known([trial.epochs_to_target for trial in reached]),
        _mean_of_known([trial.seconds_to_target for trial in reached]),
    )


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _verdict(
    arm: Arm, seeds: ArmSeeds, baseline: ArmSeeds | None, comparison: Comparison | None, p_corrected: float | None
) -> Verdict:
    if arm.role == "baseline":
        return "baseline"
    if seeds.lost or (baseline is not None and baseline.lost):
        return "seeds_lost"
    if baseline is None:
        return "no_baseline"
    if comparison is None:
        return "no_common_seed"
    if len(comparison.seeds) == 1:
        return "one_seed"
    if p_corrected is None:
        return "no_spread"
    if p_corrected >= SIGNIFICANCE:
        return "undecided"
    return "better" if comparison.difference_points > 0 else "worse"


def _varying(arms: Iterable[Arm]) -> tuple[str, ...]:
    """Names of the settings that are not the same in all rows; having none counts as a value."""
    settings = [dict(arm.settings) for arm in arms]
    names = sorted({name for of_arm in settings for name in of_arm})
    return tuple(name for name in names if len({of_arm.get(name) for of_arm in settings}) > 1)


def _order(arm: Arm) -> tuple[Any, ...]:
    sigma = arm.sigma if isinstance(arm.sigma, tuple) else (arm.sigma or 0.0, 0.0)
    return (
        arm.student,
        arm.role != "baseline",
        arm.stage != "grid",
        arm.method,
        arm.sigma_mode or "",
        sigma,
        arm.alpha or 0.0,
        arm.noise or "",
        arm.teacher,
    )


def _settings_order(arm: Arm) -> list[Any]:
    return [(name, isinstance(value, str), value) for name, value in arm.settings]


def _published_numbers(arm: Arm, table: str | None) -> tuple[float | None, float | None]:
    # Everything that is published was trained with noise drawn afresh.
    if table is None or arm.noise == "frozen":
        return None, None
    dropout = dict(arm.settings).get(schema.DROPOUT)
    entry = find_published(
        table,
        student=arm.student,
        method=arm.method,
        sigma=arm.sigma,
        alpha=arm.alpha,
        teachers=tuple(arm.teacher.split("+")),
        dropout=None if isinstance(dropout, str) else dropout,
    )
    return (None, None) if entry is None else (entry.error_percent, published_improvement_percent(table, entry))
