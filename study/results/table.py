"""The improvement-over-baseline table: arms over their seeds, each against the baseline of the same student.

Works on what `study.results.read` took off the tracking server, and on the published numbers. Knows nothing of how a
table is printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from search_spaces.published import find_published, published_improvement_percent
from study.results.arm_looks import looks_of
from study.results.arms import Arm, ArmSeeds, setting_of
from study.results.extensions import extension_notes, stopped_notes
from study.results.families import Finding, findings_of
from study.results.measured import measured_of
from study.results.methods_paragraph import methods_paragraph
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
    verdict_notes,
)
from study.results.read import TrackedStudy, read_study
from study.results.rows import Row, RowCost, Speed, Table
from study.results.rule import RULE, Judged
from study.results.selection import (
    baseline_kind,
    baselines_of,
    labels_of_teachers,
    ordered_arms,
    varying_settings,
)
from study.results.sequential import RULE_OF_LOOKS, is_frozen, is_in_rounds, look_notes, with_looks
from study.results.statistics import mean, student_interval
from study.results.teachers import key_notes
from study.results.trends import trend_notes
from study.results.verdicts import Verdict
from study.results.versions import version_notes
from study.stages import CONFIRM, GRID
from study.tracking import schema


def build_table(tracking_uri: str, study: str) -> Table:
    """Read a study off the tracking server and make its table.

    Args:
        tracking_uri: of an MLflow server, or `sqlite:///FILE`.
        study: the study's name.

    Raises:
        UserError: the server does not answer, has no such study, or a trial's parameters cannot be read.
    """
    return table_of(read_study(tracking_uri, study))


def table_of(tracked: TrackedStudy, beside: Sequence[TrackedStudy] = ()) -> Table:
    """The table of a study that was read already.

    Args:
        tracked: the study.
        beside: other studies whose rows stand in the same table (`study.results.compare`). The correction counts their
            arms, and the rows show what differs between all of them.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    arms, arm_notes = ordered_arms(tracked)
    others = [ordered_arms(each)[0] for each in beside]
    all_arms = [arm for of_study in (arms, *others) for arm in of_study]
    planned = sum(arm.role != "baseline" for arm in all_arms)
    baselines, baseline_notes = baselines_of(arms)
    smallest_effect = _smallest_effect(tracked)
    looks = looks_of(tracked)
    findings = with_looks(findings_of(arms, baselines, smallest_effect, planned_in_all=planned), arms, looks)
    in_rounds = {arm for arm in arms if is_in_rounds(arm, looks)}
    frozen = {arm for arm in in_rounds if is_frozen(looks, arms[arm])}
    varying = varying_settings(all_arms)
    published, of_published = published_notes(tracked, arms)
    costs = _costs(arms, others)
    teachers = labels_of_teachers(tracked, arms, beside, others)
    rows = tuple(
        _row(
            arm,
            arms[arm],
            baselines.get(arm.student),
            arm in frozen,
            findings.get(arm),
            varying,
            published,
            costs.get(arm),
            teachers.get(arm),
        )
        for arm in arms
    )
    kind = baseline_kind(tracked)
    notes = [
        *method_notes(tracked, kind, arms, planned),
        *search_notes(tracked, [arm for arm, seeds in arms.items() if seeds.completed or seeds.lost]),
        *extension_notes(tracked, arms),
        *look_notes(arms, looks, is_compared=bool(beside)),
        *stopped_notes(tracked),
        *teacher_notes(tracked, published),
        *key_notes(arms),
        *version_notes(tracked),
        *of_published,
        *lost_notes(arms),
        *collapsed_notes(arms),
        *arm_notes,
        *baseline_notes,
        *pairing_notes(arms, baselines, {arm: found for arm, found in findings.items() if arm not in in_rounds}),
        *verdict_notes(findings, smallest_effect),
        *target_notes(arms),
        *_cost_notes(list(costs.values())),
    ]
    rule = RULE_OF_LOOKS if in_rounds else RULE
    methods = "" if beside else methods_paragraph(tracked, rows, rule)
    table = Table(tracked.name, kind, tuple(notes), rows, rule, methods)
    return replace(table, notes=(*table.notes, *trend_notes(table)))


def _smallest_effect(tracked: TrackedStudy) -> float | None:
    """The smallest improvement that matters, in per cent; None where the study does not say."""
    value = setting_of(tracked.params.get(schema.SMALLEST_EFFECT, ""))
    return value if isinstance(value, int | float) else None


def _row(
    arm: Arm,
    seeds: ArmSeeds,
    baseline: ArmSeeds | None,
    has_frozen_verdict: bool,
    finding: Finding | None,
    varying: Sequence[str],
    published: str | None,
    cost: RowCost | None,
    teacher_label: str | None,
) -> Row:
    errors = list(seeds.usable_errors.values())
    diverged = sum(trial.outcome == "diverged" for trial in seeds.lost.values())
    settings = dict(arm.settings)
    judged = finding.judged if finding else None
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
        improvement_percent=judged.improvement_percent if judged else None,
        improvement_ci95=judged.improvement_interval if judged else None,
        p_value=judged.p_value if judged else None,
        p_corrected=judged.p_corrected if judged else None,
        verdict=_verdict(arm, seeds, baseline, judged, has_frozen_verdict),
        compression_ratio=seeds.any_trial.compression_ratio,
        published_error_percent=published_error,
        published_improvement_percent=published_improvement,
        settings={name: settings.get(name) for name in varying},
        speed=_speed(seeds) if schema.TARGET_ERROR in settings else None,
        cost=cost,
        teacher_label=teacher_label,
        measured=measured_of(seeds),
        detectable_percent=finding.detectable_percent if finding else None,
    )


def _stage(seeds: ArmSeeds) -> str:
    stages = {trial.stage for trial in seeds.trials.values()}
    return GRID if GRID in stages else CONFIRM


def _costs(arms: Mapping[Arm, ArmSeeds], others: Sequence[Mapping[Arm, ArmSeeds]]) -> dict[Arm, RowCost]:
    """Every row's cost and whether it is on the front; empty where no two are known to cost differently.

    Args:
        arms: of the study.
        others: those of the studies in the same table, which count for the front.
    """
    known = [point for of_study in (arms, *others) for seeds in of_study.values() if (point := _point(seeds))]
    costs = {arm: seeds.any_trial.multiplications for arm, seeds in arms.items()}
    of_all = {seeds.any_trial.multiplications for of_study in (arms, *others) for seeds in of_study.values()}
    if len(of_all - {None}) < 2:
        return {}
    return {
        arm: RowCost(costs[arm], _on_front(point, known) if (point := _point(seeds)) else None)
        for arm, seeds in arms.items()
    }


def _point(seeds: ArmSeeds) -> tuple[float, int] | None:
    """Mean test error and multiplications of a row that has both."""
    multiplications, errors = seeds.any_trial.multiplications, list(seeds.usable_errors.values())
    return None if multiplications is None or not errors else (mean(errors), multiplications)


def _cost_notes(costs: Sequence[RowCost]) -> list[str]:
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


def _verdict(arm: Arm, seeds: ArmSeeds, baseline: ArmSeeds | None, judged: Judged | None, frozen: bool) -> Verdict:
    if arm.role == "baseline":
        return "baseline"
    if seeds.lost or (baseline is not None and baseline.lost and not frozen):
        return "seeds_lost"
    return "no_baseline" if baseline is None or judged is None else judged.verdict


def _published_numbers(arm: Arm, table: str | None) -> tuple[float | None, float | None]:
    # Everything that is published was trained with noise drawn afresh.
    if table is None or arm.noise not in (None, "fresh"):
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
