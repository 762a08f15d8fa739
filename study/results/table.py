"""The improvement-over-baseline table: arms over their seeds, each against the baseline of the same student.

Works on what `study.results.read` took off the tracking server, and on the published numbers. Knows nothing of how a
table is printed.
"""

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from search_spaces.published import (
    TABLES,
    dropout_readings,
    find_published,
    published_improvement_percent,
    published_teacher_percent,
)
from study.config import METHOD_SETTINGS, TrainConfig
from study.errors import UserError
from study.results.read import TrackedStudy, read_study
from study.results.statistics import Comparison, Interval, compare, holm, mean, student_interval
from study.tracking import schema

SIGNIFICANCE = 0.05
DEFAULT_BASELINE_KIND = "default settings"

Setting = int | float | str
"""A parameter of the tracking server: a number where its text is one."""

# Parameters that are columns of their own, or say what a network costs and follow from its name.
_NO_SETTINGS = frozenset(
    {
        schema.STUDENT,
        schema.TEACHER,
        schema.METHOD,
        schema.SIGMA,
        schema.SIGMA_MODE,
        schema.NOISE,
        schema.ALPHA,
        schema.SEED,
        schema.MULTIPLICATIONS,
        schema.PARAMETERS,
        schema.TEACHER_MULTIPLICATIONS,
    }
)
_SETTINGS_OF_METHOD: dict[str, tuple[str, ...]] = {str(method): names for method, names in METHOD_SETTINGS.items()}
_NAMED_IN_A_NOTE = 5

OUTCOMES = ("completed", "running", "pruned", "diverged", "failed", "unfinished")
"""What may have become of a trial, in the order in which it is told."""


@dataclass(frozen=True)
class Arm:
    """What the trials of one row have in common: everything but the seed.

    `sigma`, `sigma_mode`, `noise` and `alpha` are None for methods without noise. A baseline's stage is `grid`
    wherever its trials come from: those that were added to confirm a searched point are more seeds of the same.
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
    settings: tuple[tuple[str, Setting], ...]

    def __str__(self) -> str:
        words = [self.role] if self.role == "baseline" else [self.method]
        if isinstance(self.sigma, tuple):
            words.append(f"σ~U[{self.sigma[0]:g}, {self.sigma[1]:g}]")
        elif self.sigma is not None:
            words.append(f"σ={self.sigma:g}")
        if self.alpha is not None:
            words.append(f"α={self.alpha:g}")
        if self.noise == "frozen":
            words.append("frozen")
        return " ".join([*words, f"({self.student})"])


@dataclass(frozen=True)
class Trial:
    """One completed training of a student: its arm, its stage, its seed and its test error as a fraction of 1."""

    arm: Arm
    stage: str
    seed: int
    test_error: float
    ended_ms: float
    multiplications: int | None
    compression_ratio: float | None
    epochs_to_target: float | None
    seconds_to_target: float | None


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


def epochs_trained(trials: pd.DataFrame) -> int | None:
    """Epochs that trials were trained for, together; None where no run says.

    Args:
        trials: as `TrackedStudy` has them.
    """
    column = f"metrics.{schema.EPOCHS_TRAINED}"
    if column not in trials or trials[column].isna().all():
        return None
    return int(trials[column].sum())


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
    trials, trial_notes = _trials(tracked)
    by_arm, duplicate_notes = _by_arm_and_seed(trials)
    baselines, baseline_notes = _baselines(by_arm)
    comparisons = {
        arm: _compare(baselines.get(arm.student), of_arm) for arm, of_arm in by_arm.items() if arm.role != "baseline"
    }
    corrected = dict(
        zip(comparisons, holm([found.p_value if found else None for found in comparisons.values()]), strict=True)
    )
    varying = _varying(by_arm)
    published, published_notes = _published(tracked, by_arm)
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
        *_method_notes(kind, by_arm, corrected),
        *_search_notes(tracked, by_arm),
        *_teacher_notes(tracked, published),
        *published_notes,
        *trial_notes,
        *duplicate_notes,
        *baseline_notes,
        *_pairing_notes(by_arm, baselines, comparisons),
        *_target_notes(by_arm),
        *_cost_notes(costs.values()),
    ]
    return Table(tracked.name, kind, tuple(notes), rows)


def _baseline_kind(tracked: TrackedStudy) -> str:
    """What the parent run says; where it says nothing, what its trials tell."""
    _, of_baseline = _searched(tracked)
    return tracked.params.get(schema.BASELINE_KIND, DEFAULT_BASELINE_KIND if of_baseline.empty else "searched")


# ---------------------------------------------------------------------------------------------- from runs to trials


def _trials(tracked: TrackedStudy) -> tuple[list[Trial], list[str]]:
    """The trials a table stands on, and notes on those it cannot use."""
    notes = []
    counts = tracked.counts()
    left_out = {
        outcome: int(number)
        for outcome, number in counts.reindex(["grid", "confirm"]).sum().items()
        if outcome != "completed" and number > 0
    }
    if left_out:
        listed = ", ".join(f"{number} {outcome}" for outcome, number in left_out.items())
        notes.append(f"Not in the table: {listed} (trials of the stages grid and confirm).")

    trials, unusable = [], 0
    for run in tracked.completed().to_dict("records"):
        known = {str(name): value for name, value in run.items() if not _missing(value)}
        params = {
            name.removeprefix("params."): str(value)
            for name, value in known.items()
            if name.startswith("params.") and value != "None"
        }
        error = known.get(f"metrics.{schema.TEST_ERROR}")
        if error is None or schema.SEED not in params:
            unusable += 1
            continue
        where = f"study {tracked.name}, run {run['run_id']}"
        trials.append(
            Trial(
                _arm(known, params, where),
                stage=str(known[f"tags.{schema.STAGE}"]),
                seed=_integer(params[schema.SEED], schema.SEED, where),
                test_error=float(error),
                ended_ms=float(known.get("end_time", known.get("start_time", 0))),
                multiplications=_multiplications(params, where),
                compression_ratio=_compression(params, where),
                epochs_to_target=known.get(f"metrics.{schema.EPOCHS_TO_TARGET}"),
                seconds_to_target=known.get(f"metrics.{schema.SECONDS_TO_TARGET}"),
            )
        )
    if unusable:
        notes.append(f"Left out: {_count(unusable, 'completed trial')} without `test_error` or `seed`.")
    return trials, notes


def _arm(run: Mapping[str, Any], params: Mapping[str, str], where: str) -> Arm:
    role = str(run.get(f"tags.{schema.ROLE}", "arm"))
    method = params.get(schema.METHOD, "")
    has_noise = schema.SIGMA in _SETTINGS_OF_METHOD.get(method, (schema.SIGMA,))
    if method == "soft_targets" and schema.ALPHA in params:  # noise is an addition there, not the method
        has_noise = _number(params[schema.ALPHA], schema.ALPHA, where) > 0
    return Arm(
        role=role,
        stage="grid" if role == "baseline" else str(run[f"tags.{schema.STAGE}"]),
        student=params.get(schema.STUDENT, ""),
        teacher=params.get(schema.TEACHER, ""),
        method=method,
        sigma=_sigma(params[schema.SIGMA], where) if has_noise and schema.SIGMA in params else None,
        sigma_mode=params.get(schema.SIGMA_MODE, "fixed") if has_noise else None,
        noise=params.get(schema.NOISE) if has_noise else None,
        alpha=_number(params[schema.ALPHA], schema.ALPHA, where) if has_noise and schema.ALPHA in params else None,
        settings=tuple((name, _setting(value)) for name, value in sorted(params.items()) if name not in _NO_SETTINGS),
    )


def _sigma(text: str, where: str) -> float | Interval:
    try:
        low, high = json.loads(text)
    except (ValueError, TypeError):
        return _number(text, schema.SIGMA, where)
    return _number(str(low), schema.SIGMA, where), _number(str(high), schema.SIGMA, where)


def _number(text: str, name: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: parameter `{name}` is `{text[:60]}`, not a number; correct or delete the run")
    return number


def _integer(text: str, name: str, where: str) -> int:
    number = _number(text, name, where)
    if number != int(number):
        raise UserError(f"{where}: parameter `{name}` is `{text[:60]}`, not a whole number; correct or delete the run")
    return int(number)


def _setting(text: str) -> Setting:
    """`64` and `64.0`, `1e-3` and `0.001` are the same setting."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def _multiplications(params: Mapping[str, str], where: str) -> int | None:
    given = params.get(schema.MULTIPLICATIONS)
    return None if given is None else _integer(given, schema.MULTIPLICATIONS, where)


def _compression(params: Mapping[str, str], where: str) -> float | None:
    student = _multiplications(params, where)
    if student is None or student <= 0 or schema.TEACHER_MULTIPLICATIONS not in params:
        return None
    return _number(params[schema.TEACHER_MULTIPLICATIONS], schema.TEACHER_MULTIPLICATIONS, where) / student


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


# ----------------------------------------------------------------------------------------------- from trials to rows

BySeed = Mapping[int, Trial]


def _by_arm_and_seed(trials: Iterable[Trial]) -> tuple[dict[Arm, dict[int, Trial]], list[str]]:
    """The latest finished trial of every arm and seed, and a note on those that came twice."""
    found: dict[Arm, dict[int, Trial]] = defaultdict(dict)
    twice = set()
    for trial in sorted(trials, key=lambda trial: trial.ended_ms):
        if trial.seed in found[trial.arm]:
            twice.add((str(trial.arm), trial.seed))
        found[trial.arm][trial.seed] = trial
    named = [f"{arm} seed {seed}" for arm, seed in sorted(twice)]
    notes = [f"More than one completed trial, the latest finished is used: {_some(named)}."] if named else []
    return dict(found), notes


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


# ------------------------------------------------------------------------------------------------- published numbers


def _published(tracked: TrackedStudy, by_arm: Iterable[Arm]) -> tuple[str | None, list[str]]:
    """The name of the published table to print beside ours, and what to say about it."""
    name = tracked.params.get(schema.PUBLISHED)
    if not name:
        return None, []
    if name not in TABLES:
        return None, [f"The study names a published table `{name}`, which is not known here."]
    table = TABLES[name]
    datasets = {value for arm in by_arm for setting, value in arm.settings if setting == schema.DATASET}
    if datasets - {table.dataset}:
        return None, [f"Nothing is printed beside this table: {table.citation}, is about {table.dataset}."]
    notes = [f"Published: {table.citation}: single runs, the best of a table picked on the test set it reports."]
    if table.remark:
        notes.append(f"On the published numbers: {table.remark}.")
    drops = {value for arm in by_arm for setting, value in arm.settings if setting == schema.DROPOUT}
    for drop in sorted(value for value in drops if not isinstance(value, str)) if name == "table-5" else ():
        as_drop, as_keep = dropout_readings(drop)
        notes.append(
            f"Dropping with probability {drop:g}: published {_percent(as_drop)} if the ratio is the probability of "
            f"dropping, {_percent(as_keep)} if it is the probability to keep."
        )
    return name, notes


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


# ------------------------------------------------------------------------------------------------------------- notes


def _method_notes(kind: str, by_arm: Mapping[Arm, BySeed], corrected: Mapping[Arm, float | None]) -> list[str]:
    if not by_arm:
        return ["No completed trial of the stages grid or confirm yet."]
    seeds = sorted({seed for trials in by_arm.values() for seed in trials})
    sizes = sorted({len(trials) for trials in by_arm.values()})
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    notes = [
        f"Baseline: {kind}.",
        f"Every row stands on {each} seed{'s' if sizes[-1] != 1 else ''} (all seeds: {_some(list(map(str, seeds)))}).",
        "Intervals are 95 % and speak of the student's training only: teacher and data split are the same for all "
        "seeds. Test errors: Student's t over the seeds.",
    ]
    tested = sum(p is not None for p in corrected.values())
    if corrected:
        notes.append(
            "Improvement: (baseline error - error) / baseline error over the seeds that an arm shares with the "
            "baseline of its student, interval by Fieller's theorem; p: paired t-test; p Holm: corrected over the "
            f"{_count(tested, 'tested arm')} of this table; the verdict is p Holm at 5 %."
        )
    return notes


def _teacher_notes(tracked: TrackedStudy, published: str | None) -> list[str]:
    column = f"metrics.{schema.TEST_ERROR}"
    if column not in tracked.teachers:
        return []
    notes = []
    for run in tracked.teachers.dropna(subset=[column]).to_dict("records"):
        network = run.get(f"params.{schema.TEACHER_CHAIN}")
        if _missing(network):
            network = run.get(f"params.{schema.TEACHER}")
        if _missing(network):
            network = run.get("tags.mlflow.runName", "?")
        printed = published_teacher_percent(str(run.get(f"params.{schema.DATASET}")), str(network))
        beside = f" (published: {_percent(printed)})" if published and printed is not None else ""
        notes.append(f"Teacher {network}: test error {_percent(run[column] * 100)}{beside}.")
    return list(dict.fromkeys(notes))


def _target_notes(by_arm: Iterable[Arm]) -> list[str]:
    targets = {value for arm in by_arm for setting, value in arm.settings if setting == schema.TARGET_ERROR}
    return [
        f"To target: epochs and seconds, validation included, until the validation error was at most "
        f"{_percent(target * 100)}; means over the seeds that came to it."
        for target in sorted(value for value in targets if not isinstance(value, str))
    ]


def _cost_notes(costs: Iterable[Cost]) -> list[str]:
    if not (known := list(costs)):
        return []
    unknown = sum(cost.pareto is None for cost in known)
    left_out = f" Left out: {_count(unknown, 'row')} whose multiplications are not known." if unknown else ""
    return [
        "Front: * marks the Pareto front of mean test error against the student's multiplications, the rows that no "
        "other row equals in both and beats in one. Only means are compared, so rows may stand on it by noise."
        f"{left_out}"
    ]


def _search_notes(tracked: TrackedStudy, by_arm: Collection[Arm]) -> list[str]:
    """How the confirmed points were found, and what the baseline's settings were chosen by."""
    of_arms, of_baseline = _searched(tracked)
    confirmed = [arm for arm in by_arm if arm.stage == "confirm"]
    costs = f"params.{schema.MULTIPLICATIONS}"
    several_costs = costs in of_arms and of_arms[costs].nunique() > 1
    notes = []
    if not of_arms.empty:
        # Of students that cost differently the best is not a matter of their errors alone.
        winners = f"{len(confirmed)} of its points" if several_costs else _best_of(len(confirmed))
        notes.append(f"Searched: {_found_by(tracked, of_arms)}; {_confirmed(winners, len(confirmed))}.")
    if not of_baseline.empty:
        winner = _confirmed(_best_of(1), int(any(arm.role == "baseline" for arm in by_arm)))
        notes.append(f"Baseline searched: {_found_by(tracked, of_baseline)}; {winner}.")
    elif chosen := _varied(of_arms):
        notes.append(
            f"The search chose {', '.join(chosen)} for its points and not for the baseline: a difference may come from "
            "that alone."
        )
    return notes


def _searched(tracked: TrackedStudy) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The search's trials of any outcome: those of arms, and those of the baseline."""
    trials = tracked.trials[tracked.trials[f"tags.{schema.STAGE}"] == "search"]
    is_baseline = trials[f"tags.{schema.ROLE}"] == "baseline"
    return trials[~is_baseline], trials[is_baseline]


def _found_by(tracked: TrackedStudy, trials: pd.DataFrame) -> str:
    """`40 trials (12 pruned) by validation error on 1 seed, 352 epochs together`."""
    counts = dataclasses.replace(tracked, trials=trials).counts().loc["search"].to_dict()
    others = [f"{counts[name]} {name}" for name in OUTCOMES if name != "completed" and counts.get(name)]
    words = _count(len(trials), "trial") + (f" ({', '.join(others)})" if others else "") + " by validation error"
    if (seed := f"params.{schema.SEED}") in trials:
        words += f" on {_count(trials[seed].nunique(), 'seed')}"
    epochs = epochs_trained(trials)
    if epochs is None:
        return words
    untold = trials[trials[f"tags.{schema.OUTCOME}"].notna()][f"metrics.{schema.EPOCHS_TRAINED}"].isna().any()
    return f"{words}, {'at least ' if untold else ''}{_count(epochs, 'epoch')} together"


def _best_of(number: int) -> str:
    return "its best" if number == 1 else f"its best {number}"


def _confirmed(winners: str, number: int) -> str:
    if number == 0:
        return "none is confirmed yet"
    return f"{winners} {'was' if number == 1 else 'were'} confirmed"


def _varied(trials: pd.DataFrame) -> list[str]:
    """Training settings, which a baseline has too, that are not the same in all these trials."""
    columns = {name: f"params.{name}" for name in TrainConfig.model_fields}
    return [name for name, column in columns.items() if column in trials and trials[column].nunique(dropna=False) > 1]


def _pairing_notes(
    by_arm: Mapping[Arm, BySeed], baselines: Mapping[str, BySeed], comparisons: Mapping[Arm, Comparison | None]
) -> list[str]:
    notes = []
    unpaired: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for arm in comparisons:
        if arm.student in baselines:
            missing = tuple(sorted(by_arm[arm].keys() ^ baselines[arm.student].keys()))
            if missing:
                unpaired[missing].append(str(arm))
    for seeds, arms in unpaired.items():
        notes.append(
            f"Not paired, so not in the comparison: seed{'s' if len(seeds) > 1 else ''} "
            f"{_some(list(map(str, seeds)))} of {_some(arms)} or its baseline (the other has none)."
        )
    without_spread = [
        str(arm)
        for arm, found in comparisons.items()
        if found is not None and len(found.seeds) > 1 and found.p_value is None
    ]
    if without_spread:
        notes.append(
            f"The difference is the same on all seeds, which leaves no spread to test against: {_some(without_spread)}."
        )
    return notes


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:_NAMED_IN_A_NOTE])
    return shown if len(items) <= _NAMED_IN_A_NOTE else f"{shown} and {len(items) - _NAMED_IN_A_NOTE} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _percent(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.2f} %"
