"""The improvement-over-baseline table: arms over their seeds, each against the baseline of the same student.

Works on what `study.results.read` took off the tracking server, and on the published numbers. Knows nothing of how a
table is printed.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.published import find_published, published_improvement_percent
from study.results.arms import Arm, BySeed, Setting, Trial, by_arm_and_seed, trials_of
from study.results.notes import (
    cost_notes,
    method_notes,
    pairing_notes,
    published_notes,
    search_notes,
    target_notes,
    teacher_notes,
)
from study.results.read import TrackedStudy, read_study
from study.results.statistics import Comparison, Interval, compare, holm, mean, student_interval
from study.tracking import schema

SIGNIFICANCE = 0.05
DEFAULT_BASELINE_KIND = "default settings"


@dataclass(frozen=True)
class Speed:
    """How soon a row's trials came to the validation error that the study names as its target.

    Attributes:
        reached: how many seeds ever did.
        epochs, seconds: means over those seeds; None where there are none.
    """

    reached: int
    epochs: float | None
    seconds: float | None


@dataclass(frozen=True)
class Cost:
    """What a row's student costs, in a table whose students do not all cost the same.

    Attributes:
        multiplications: of one forward pass of one image.
        pareto: whether the row is on the front of mean test error against multiplications: no other row of the table
            is at most as large in both and smaller in one.

    Both are None where the tracked runs do not say what the student costs.
    """

    multiplications: int | None
    pareto: bool | None


@dataclass(frozen=True)
class Row:
    """One arm over its seeds.

    Attributes:
        role: `baseline` or `arm`.
        stage: `grid`, or `confirm` for a searched point on seeds the search never saw; a baseline that has trials of
            both is of the grid.
        student, teacher: networks; several teachers are joined by `+`.
        sigma: a standard deviation, or (low, high) of a uniform draw; None for methods without noise.
        n: seeds of this row.
        test_error_mean: a fraction of 1; `test_error_ci95` its Student interval.
        improvement_percent: (mean baseline − mean error) / mean baseline × 100 over the seeds both have, with its
            Fieller interval.
        p_value: paired t-test; `p_holm` the same after Holm's correction over the arms of the table.
        verdict: what may be said at 5 % after the correction, in words.
        compression_ratio: multiplications of the teacher / of the student.
        published_error_percent, published_improvement_percent: what the source prints for this setting.
        settings: other parameters that differ between rows, by name; None where a row has no such parameter.
        speed: how soon the target error was reached; None where the trials have no target.
        cost: what the student costs; None where all students of the table cost the same.
    """

    role: str
    stage: str
    student: str
    teacher: str
    method: str
    sigma: float | Interval | None
    sigma_mode: str | None
    noise: str | None
    alpha: float | None
    n: int
    test_error_mean: float
    test_error_ci95: Interval | None
    improvement_percent: float | None
    improvement_ci95: Interval | None
    p_value: float | None
    p_holm: float | None
    verdict: str
    compression_ratio: float | None
    published_error_percent: float | None
    published_improvement_percent: float | None
    settings: Mapping[str, Setting | None]
    speed: Speed | None = None
    cost: Cost | None = None

    def as_json(self) -> dict[str, Any]:
        """The row as JSON has it, the settings beside the other values.

        Where the trials have a target there are `reached_target` (how many seeds), `epochs_to_target` and
        `seconds_to_target` (means over those) too; where the students of the table differ in cost, `multiplications`
        and `pareto` (true on the front, false off it, null where the cost is not known).
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        settings, speed, cost = (values.pop(name) for name in ("settings", "speed", "cost"))
        if cost is not None:
            values |= {schema.MULTIPLICATIONS: cost.multiplications, "pareto": cost.pareto}
        if speed is not None:
            values |= {
                "reached_target": speed.reached,
                schema.EPOCHS_TO_TARGET: speed.epochs,
                schema.SECONDS_TO_TARGET: speed.seconds,
            }
        return {
            **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
            **{name: value for name, value in settings.items() if name not in values},
        }


@dataclass(frozen=True)
class Table:
    """The improvement-over-baseline table of one study, with everything a reader must know in `notes`."""

    study: str
    baseline_kind: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the other parameters that differ between rows."""
        return tuple(self.rows[0].settings) if self.rows else ()

    def as_json(self) -> dict[str, Any]:
        """Errors are fractions of 1, improvements per cent, intervals [low, high], null what is unknown."""
        return {
            "study": self.study,
            "baseline_kind": self.baseline_kind,
            "notes": list(self.notes),
            "rows": [row.as_json() for row in self.rows],
        }


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
    trials, trial_notes = trials_of(tracked)
    by_arm, duplicate_notes = by_arm_and_seed(trials)
    baselines, baseline_notes = _baselines(by_arm)
    comparisons = {
        arm: _compare(baselines.get(arm.student), of_arm) for arm, of_arm in by_arm.items() if arm.role != "baseline"
    }
    corrected = dict(
        zip(comparisons, holm([found.p_value if found else None for found in comparisons.values()]), strict=True)
    )
    varying = _varying(by_arm)
    published, of_published = published_notes(tracked, by_arm)
    costs = _costs(by_arm)
    rows = tuple(
        _row(
            arm,
            by_arm[arm],
            arm.student in baselines,
            comparisons.get(arm),
            corrected.get(arm),
            varying,
            published,
            costs.get(arm),
        )
        for arm in sorted(by_arm, key=_order)
    )
    kind = _baseline_kind(tracked)
    notes = [
        *method_notes(kind, by_arm, corrected),
        *search_notes(tracked, by_arm),
        *teacher_notes(tracked, published),
        *of_published,
        *trial_notes,
        *duplicate_notes,
        *baseline_notes,
        *pairing_notes(by_arm, baselines, comparisons),
        *target_notes(by_arm),
        *cost_notes(len(costs), sum(cost.pareto is None for cost in costs.values())),
    ]
    return Table(tracked.name, kind, tuple(notes), rows)


def runs_of_rows(tracked: TrackedStudy) -> tuple[Mapping[int, str], ...]:
    """For every row of `table_of`, in its order: the run of each seed.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    by_arm, _ = by_arm_and_seed(trials_of(tracked)[0])
    return tuple({seed: trial.run_id for seed, trial in by_arm[arm].items()} for arm in sorted(by_arm, key=_order))


def _baseline_kind(tracked: TrackedStudy) -> str:
    """What the parent run says; where it says nothing, what its trials tell."""
    _, of_baseline = tracked.searched()
    return tracked.params.get(schema.BASELINE_KIND, DEFAULT_BASELINE_KIND if of_baseline.empty else "searched")


def _baselines(by_arm: Mapping[Arm, BySeed]) -> tuple[dict[str, BySeed], list[str]]:
    """The baseline of every student that has exactly one, and notes on the students that have not."""
    of_student: dict[str, list[Arm]] = {arm.student: [] for arm in by_arm}
    for arm in by_arm:
        if arm.role == "baseline":
            of_student[arm.student].append(arm)
    notes = []
    for student, arms in sorted(of_student.items()):
        if not arms:
            notes.append(f"No completed baseline for the student {student}: its arms stand without an improvement.")
        elif len(arms) > 1:
            notes.append(
                f"{len(arms)} different baselines for the student {student}: which of them its arms are to be compared "
                "with is not said, so they stand without an improvement."
            )
    return {student: by_arm[arms[0]] for student, arms in of_student.items() if len(arms) == 1}, notes


def _compare(baseline: BySeed | None, arm: BySeed) -> Comparison | None:
    return None if baseline is None else compare(_errors(baseline), _errors(arm))


def _errors(trials: BySeed) -> dict[int, float]:
    return {seed: trial.test_error for seed, trial in sorted(trials.items())}


def _row(
    arm: Arm,
    trials: BySeed,
    has_baseline: bool,
    comparison: Comparison | None,
    p_holm: float | None,
    varying: Sequence[str],
    published: str | None,
    cost: Cost | None,
) -> Row:
    errors = list(_errors(trials).values())
    settings = dict(arm.settings)
    published_error, published_improvement = _published_numbers(arm, published)
    return Row(
        role=arm.role,
        stage=_stage(trials),
        student=arm.student,
        teacher=arm.teacher,
        method=arm.method,
        sigma=arm.sigma,
        sigma_mode=arm.sigma_mode,
        noise=arm.noise,
        alpha=arm.alpha,
        n=len(errors),
        test_error_mean=mean(errors),
        test_error_ci95=student_interval(errors),
        improvement_percent=comparison.improvement_percent if comparison else None,
        improvement_ci95=comparison.improvement_ci95 if comparison else None,
        p_value=comparison.p_value if comparison else None,
        p_holm=p_holm,
        verdict=_verdict(arm, has_baseline, comparison, p_holm),
        compression_ratio=next(iter(trials.values())).compression_ratio,
        published_error_percent=published_error,
        published_improvement_percent=published_improvement,
        settings={name: settings.get(name) for name in varying},
        speed=_speed(list(trials.values())) if schema.TARGET_ERROR in settings else None,
        cost=cost,
    )


def _stage(trials: BySeed) -> str:
    stages = {trial.stage for trial in trials.values()}
    return "grid" if "grid" in stages else "confirm"


def _costs(by_arm: Mapping[Arm, BySeed]) -> dict[Arm, Cost]:
    """Every row's cost and whether it is on the front; empty where no two are known to cost differently."""
    multiplications = {arm: next(iter(trials.values())).multiplications for arm, trials in by_arm.items()}
    points = {
        arm: (mean(list(_errors(by_arm[arm]).values())), count)
        for arm, count in multiplications.items()
        if count is not None
    }
    if len({count for _, count in points.values()}) < 2:
        return {}
    return {
        arm: Cost(multiplications[arm], _on_front(points[arm], points.values()) if arm in points else None)
        for arm in by_arm
    }


def _on_front(point: tuple[float, int], others: Iterable[tuple[float, int]]) -> bool:
    return not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in others)


def _speed(trials: Sequence[Trial]) -> Speed:
    epochs = [trial.epochs_to_target for trial in trials if trial.epochs_to_target is not None]
    seconds = [trial.seconds_to_target for trial in trials if trial.seconds_to_target is not None]
    return Speed(len(epochs), mean(epochs) if epochs else None, mean(seconds) if seconds else None)


def _verdict(arm: Arm, has_baseline: bool, comparison: Comparison | None, p_holm: float | None) -> str:
    if arm.role == "baseline":
        return "baseline"
    if not has_baseline:
        return "no baseline"
    if comparison is None:
        return "no common seed"
    if len(comparison.seeds) == 1:
        return "one seed: no interval"
    if p_holm is None:
        return "no spread: no test"
    if p_holm >= SIGNIFICANCE:
        return "within noise"
    return "better" if comparison.difference_points > 0 else "worse"


def _varying(by_arm: Iterable[Arm]) -> tuple[str, ...]:
    """Names of the settings that are not the same in all rows; having none counts as a value."""
    settings = [dict(arm.settings) for arm in by_arm]
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
        [(name, isinstance(value, str), value) for name, value in arm.settings],
    )


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
