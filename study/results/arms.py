"""What a table is made of: arms, and their completed trials.

Works on the runs of a tracked study, whose parameters are text, and makes numbers of them. Knows nothing of baselines,
statistics or published numbers.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from study.config import METHOD_SETTINGS
from study.errors import UserError
from study.results.phrases import count, some
from study.results.read import TrackedStudy
from study.results.statistics import Interval
from study.tracking import schema

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
    """One completed training of a student: its run, arm, stage and seed, and its test error as a fraction of 1."""

    run_id: str
    arm: Arm
    stage: str
    seed: int
    test_error: float
    ended_ms: float
    multiplications: int | None
    compression_ratio: float | None
    epochs_to_target: float | None
    seconds_to_target: float | None


BySeed = Mapping[int, Trial]


def trials_of(tracked: TrackedStudy) -> tuple[list[Trial], list[str]]:
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
        known = {str(name): value for name, value in run.items() if not is_missing(value)}
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
                str(run["run_id"]),
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
        notes.append(f"Left out: {count(unusable, 'completed trial')} without `test_error` or `seed`.")
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


def is_missing(value: object) -> bool:
    """Whether a cell of a frame has no value, as pandas or MLflow say it."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


def by_arm_and_seed(trials: Iterable[Trial]) -> tuple[dict[Arm, dict[int, Trial]], list[str]]:
    """The latest finished trial of every arm and seed, and a note on those that came twice."""
    found: dict[Arm, dict[int, Trial]] = defaultdict(dict)
    twice = set()
    for trial in sorted(trials, key=lambda trial: trial.ended_ms):
        if trial.seed in found[trial.arm]:
            twice.add((str(trial.arm), trial.seed))
        found[trial.arm][trial.seed] = trial
    named = [f"{arm} seed {seed}" for arm, seed in sorted(twice)]
    notes = [f"More than one completed trial, the latest finished is used: {some(named)}."] if named else []
    return dict(found), notes
