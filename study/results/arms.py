"""The arms of a study, and the outcome of each of their seeds.

Works on the runs of a tracked study, and turns their parameters from text into numbers. Knows nothing of baselines,
statistics or published numbers.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from models.own_code import is_own
from study.config import METHOD_SETTINGS
from study.errors import UserError
from study.noise.settings import Noise, reading_of
from study.results.arm_looks import looks_of
from study.results.noise import NOISE_PARAMETERS, noise_of
from study.results.read import TrackedStudy
from study.results.statistics import Interval
from study.results.wording import count, some
from study.stages import CONFIRM, GRID, STAGES_OF_A_TABLE
from study.tracking import schema

Setting = int | float | str
"""A parameter from the tracking server: a number if its text is one."""

LOST = ("diverged", "failed", "pruned")
"""Outcomes of a training that ended without a test error."""

# Parameters that have their own columns, or that follow from the network's name (its cost). Every other parameter
# counts: a parameter that is not listed here makes a new row.
_NO_SETTINGS = frozenset(
    {
        schema.STUDENT,
        schema.TEACHER,
        schema.TEACHER_KEY,
        schema.METHOD,
        schema.SIGMA,
        schema.SIGMA_MODE,
        schema.NOISE,
        *NOISE_PARAMETERS,
        schema.READING,
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
    """What the trials of one row have in common: all settings except the seed.

    `sigma`, `sigma_mode`, `noise`, `noise_settings` and `alpha` are None for methods without noise. `noise` is a label
    that differs for different settings of the noise (`study.results.noise`). `teacher_key` identifies the
    teachers (`study.planning.keys.teacher_key`); None for runs that do not have it. A baseline's stage is `grid`
    in both stages: its trials of the stage confirm are further seeds of the same training.
    """

    role: str
    stage: str
    student: str
    teacher: str
    teacher_key: str | None
    method: str
    sigma: float | Interval | None
    sigma_mode: str | None
    noise: str | None
    alpha: float | None
    settings: tuple[tuple[str, Setting], ...]
    noise_settings: Noise | None = None

    @property
    def reading(self) -> str | None:
        """The reading of the paper that the noise is; None where it is none."""
        return None if self.noise_settings is None else reading_of(self.noise_settings)

    def __str__(self) -> str:
        words = [self.role] if self.role == "baseline" else [self.method]
        if isinstance(self.sigma, tuple):
            words.append(f"σ~U[{self.sigma[0]:g}, {self.sigma[1]:g}]")
        elif self.sigma is not None:
            words.append(f"σ={self.sigma:g}")
        if self.alpha is not None:
            words.append(f"α={self.alpha:g}")
        if self.noise not in (None, "fresh"):
            words.append(str(self.noise))
        return " ".join([*words, f"({self.student})"])


@dataclass(frozen=True)
class Trial:
    """One training of a student: its run, arm, stage and seed, how it ended, and its test error as a fraction of 1.

    Attributes:
        outcome: as in `TrackedStudy.outcomes`.
        test_error: None if the training has none (yet).
        ended_ms: Unix time in milliseconds; for a training that has not ended, when it began.
        predicted_classes: how many different classes the network predicts for the test images; None if the run does not
            have it.
    """

    run_id: str
    arm: Arm
    stage: str
    seed: int
    outcome: str
    test_error: float | None
    ended_ms: float
    predicted_classes: int | None
    multiplications: int | None
    compression_ratio: float | None
    epochs_to_target: float | None
    seconds_to_target: float | None
    logit_rms: float | None = None
    noise_rms: float | None = None
    teacher_agreement: float | None = None
    trial_id: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the training ended without a test error."""
        return self.outcome in LOST


@dataclass(frozen=True)
class ArmSeeds:
    """The seeds of one arm.

    A seed is lost when its training diverged, failed or was stopped early. A seed whose training has not ended, or has
    not begun, is not lost: the row is incomplete.

    Attributes:
        trials: the training that counts, by seed, ascending; trainings that have not ended are among them.
        planned: all seeds of the arm, ascending.
    """

    trials: Mapping[int, Trial]
    planned: tuple[int, ...]

    @cached_property
    def completed(self) -> dict[int, Trial]:
        """The trainings that have a test error, by seed."""
        return {seed: trial for seed, trial in self.trials.items() if trial.test_error is not None}

    @cached_property
    def errors(self) -> dict[int, float]:
        """Test errors by seed, fractions of 1: also those of an arm that lost other seeds."""
        return {seed: trial.test_error for seed, trial in self.trials.items() if trial.test_error is not None}

    @cached_property
    def lost(self) -> dict[int, Trial]:
        """The trainings of the lost seeds."""
        return {seed: trial for seed, trial in self.trials.items() if trial.is_lost}

    @property
    def usable_errors(self) -> dict[int, float]:
        """Test errors by seed; empty if a seed is lost.

        Which seeds are left depends on the training, so a mean over them would be biased.
        """
        return {} if self.lost else self.errors

    @property
    def any_trial(self) -> Trial:
        """One of the trainings, for reading what all of them have in common."""
        return next(iter(self.trials.values()))


def arms_of(tracked: TrackedStudy) -> tuple[dict[Arm, ArmSeeds], list[str]]:
    """Every arm that has a training of the stages grid or confirm, and notes on the trainings.

    Raises:
        UserError: a parameter of a run cannot be read.
    """
    trials, unusable = _trials_of(tracked)
    found: dict[Arm, dict[int, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        found[trial.arm][trial.seed].append(trial)
    planned = _planned_seeds(tracked, trials)
    arms = {
        arm: ArmSeeds(
            {seed: _that_counts(of_seeds[seed]) for seed in sorted(of_seeds)},
            tuple(sorted(of_seeds.keys() | planned(arm))),
        )
        for arm, of_seeds in found.items()
    }
    notes = _ended_notes(tracked)
    if unusable:
        notes.append(f"Left out: {count(unusable, 'completed trial')} without `test_error` or `seed`.")
    twice = [
        f"{arm} seed {seed}"
        for arm, of_seeds in found.items()
        for seed, of_seed in of_seeds.items()
        if sum(trial.test_error is not None for trial in of_seed) > 1
    ]
    if twice:
        notes.append(f"More than one completed trial, the latest finished is used: {some(sorted(twice))}.")
    return arms, notes


def runs_of_lost_arms(tracked: TrackedStudy) -> frozenset[str]:
    """The completed runs of arms that lost a seed. Their errors alone would give a biased mean.

    Raises:
        UserError: a parameter of a run cannot be read.
    """
    arms, _ = arms_of(tracked)
    return frozenset(trial.run_id for seeds in arms.values() if seeds.lost for trial in seeds.completed.values())


def _ended_notes(tracked: TrackedStudy) -> list[str]:
    number_of = tracked.counts().reindex([GRID, CONFIRM]).sum()
    without = {outcome: int(number) for outcome, number in number_of.items() if outcome != "completed" and number > 0}
    if not without:
        return []
    listed = ", ".join(f"{number} {outcome}" for outcome, number in without.items())
    return [f"Trials without a test error: {listed} (stages grid and confirm)."]


def _that_counts(trials: Sequence[Trial]) -> Trial:
    """Of several trainings of one arm and seed, the one that counts: the latest that ended, or a retry that runs."""
    ended = [trial for trial in trials if trial.is_lost or trial.test_error is not None]
    latest = max(ended or trials, key=lambda trial: trial.ended_ms)
    retries = [trial for trial in trials if trial not in ended and trial.ended_ms > latest.ended_ms]
    return max(retries, key=lambda trial: trial.ended_ms) if latest.is_lost and retries else latest


def _trials_of(tracked: TrackedStudy) -> tuple[list[Trial], int]:
    """The trainings of the stages of a table, and how many completed ones cannot be used."""
    trials, unusable = [], 0
    runs = tracked.trials.assign(outcome=tracked.outcomes())
    for run in runs[runs[f"tags.{schema.STAGE}"].isin(STAGES_OF_A_TABLE)].to_dict("records"):
        known = {str(name): value for name, value in run.items() if not is_missing(value)}
        params = {
            name.removeprefix("params."): str(value)
            for name, value in known.items()
            if name.startswith("params.") and value != "None"
        }
        outcome = str(known["outcome"])
        error = known.get(f"metrics.{schema.TEST_ERROR}") if outcome == "completed" else None
        unusable += outcome == "completed" and (error is None or schema.SEED not in params)
        if schema.SEED not in params:  # a run that has just begun has its parameters a moment later
            continue
        where = f"study {tracked.name}, run {run['run_id']}"
        classes = known.get(f"metrics.{schema.PREDICTED_CLASSES}")
        trials.append(
            Trial(
                str(run["run_id"]),
                _arm(known, params, where),
                stage=str(known[f"tags.{schema.STAGE}"]),
                seed=_integer(params[schema.SEED], schema.SEED, where),
                outcome=outcome,
                test_error=None if error is None else float(error),
                ended_ms=float(known.get("end_time", known.get("start_time", 0))),
                predicted_classes=None if classes is None else int(classes),
                multiplications=_multiplications(params, where),
                compression_ratio=_compression(params, where),
                epochs_to_target=known.get(f"metrics.{schema.EPOCHS_TO_TARGET}"),
                seconds_to_target=known.get(f"metrics.{schema.SECONDS_TO_TARGET}"),
                logit_rms=known.get(f"metrics.{schema.LOGIT_RMS}"),
                noise_rms=known.get(f"metrics.{schema.NOISE_RMS}"),
                teacher_agreement=known.get(f"metrics.{schema.TEACHER_AGREEMENT}"),
                trial_id=known.get(f"tags.{schema.TRIAL_ID}"),
            )
        )
    return trials, unusable


def _planned_seeds(tracked: TrackedStudy, trials: Sequence[Trial]) -> Callable[[Arm], Collection[int]]:
    """The seeds of an arm by the parameters of the parent run; without them, all that its student has in the stage."""
    said = {GRID: _seeds(tracked, schema.SEEDS), CONFIRM: _seeds(tracked, schema.CONFIRM_SEEDS)}
    seen: dict[tuple[str, str], set[int]] = defaultdict(set)
    for trial in trials:
        seen[trial.arm.student, trial.stage].add(trial.seed)

    looks = looks_of(tracked)
    in_rounds: dict[tuple[str, str], dict[Arm, int]] = defaultdict(dict)
    for trial in trials:
        if trial.stage in looks.rounds and trial.arm.role != "baseline":
            of_student = in_rounds[trial.arm.student, trial.stage]
            look = looks.of_arm([trial.trial_id])
            first = looks.rounds[trial.stage][0]
            of_student[trial.arm] = max(of_student.get(trial.arm, first), look.seeds if look is not None else 0)

    def of_stage(arm: Arm, stage: str) -> Collection[int]:
        own = seen.get((arm.student, stage), set())
        seeds = (said[stage] or own) if own else ()
        if stage not in looks.rounds:
            return seeds
        # An arm in rounds has the seeds of its rounds. A baseline has those of the arm with most.
        arms = in_rounds[arm.student, stage]
        most = max(arms.values(), default=looks.rounds[stage][0]) if arm.role == "baseline" else arms[arm]
        return list(seeds)[:most]

    def planned(arm: Arm) -> Collection[int]:
        stages = STAGES_OF_A_TABLE if arm.role == "baseline" else (arm.stage,)
        return {seed for stage in stages for seed in of_stage(arm, stage)}

    return planned


def _seeds(tracked: TrackedStudy, parameter: str) -> tuple[int, ...]:
    """Seeds of the parent run, `0,1,2`; none where it does not say."""
    text = tracked.params.get(parameter, "")
    where = f"study {tracked.name}, parent run"
    return tuple(_integer(part, parameter, where) for part in text.strip("[]() ").split(",") if part.strip())


def _arm(run: Mapping[str, Any], params: Mapping[str, str], where: str) -> Arm:
    role = str(run.get(f"tags.{schema.ROLE}", "arm"))
    method = params.get(schema.METHOD, "")
    has_noise = schema.SIGMA in _SETTINGS_OF_METHOD.get(method, (schema.SIGMA,))
    if is_own(method):
        has_noise = schema.SIGMA in params and _sigma(params[schema.SIGMA], where) != 0.0
    if method == "soft_targets" and schema.ALPHA in params:  # there, noise is an addition and not the method
        # The form `scaled` changes logits with α = 0 too. Any setting of the noise is tracked where there is noise.
        is_set = any(parameter in params for parameter in NOISE_PARAMETERS)
        has_noise = is_set or _number(params[schema.ALPHA], schema.ALPHA, where) > 0
    noise, noise_settings = noise_of(params) if has_noise else (None, None)
    return Arm(
        role=role,
        stage=GRID if role == "baseline" else str(run[f"tags.{schema.STAGE}"]),
        student=params.get(schema.STUDENT, ""),
        teacher=params.get(schema.TEACHER, ""),
        teacher_key=params.get(schema.TEACHER_KEY),
        method=method,
        sigma=_sigma(params[schema.SIGMA], where) if has_noise and schema.SIGMA in params else None,
        sigma_mode=params.get(schema.SIGMA_MODE, "fixed") if has_noise else None,
        noise=noise,
        alpha=_number(params[schema.ALPHA], schema.ALPHA, where) if has_noise and schema.ALPHA in params else None,
        settings=tuple((name, setting_of(value)) for name, value in sorted(params.items()) if name not in _NO_SETTINGS),
        noise_settings=noise_settings,
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


def setting_of(text: str) -> Setting:
    """A parameter's value: `64` and `64.0`, `1e-3` and `0.001` are the same setting."""
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
    """Whether a cell of a frame has no value: None or NaN."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))
