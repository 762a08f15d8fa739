"""The name and the parameters of a trial's run on the tracking server.

Pure functions of a `TrialConfig`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from study.config import (
    DEFAULT_COMBINATION,
    Sigma,
    TeacherConfig,
    TrialConfig,
    Uniform,
    teacher_trial,
)
from study.config.methods import setting_of, settings_of
from study.methods import NOISE_SETTINGS, Method, method_named
from study.noise.settings import Noise, noise_words, reading_of
from study.planning.keys import NO_DIGESTS, teacher_key, training_key
from study.stages import SEARCH
from study.tracking import schema


@dataclass(frozen=True)
class Cost:
    """What one forward pass of one image costs, and how large the network is."""

    multiplications: int
    parameters: int


def run_name(trial: TrialConfig) -> str:
    """A run's name in MLflow: `σ=0.80 α=0.15 seed 1`, `baseline seed 1`, `teacher nin seed 0`."""
    if trial.role == "teacher":
        return f"teacher {_with_own(trial.network, trial.teachers)} seed {trial.seed}"
    if trial.role == "baseline":
        return (
            f"baseline lr={trial.train.lr:.2g} seed {trial.seed}"
            if trial.stage == SEARCH
            else f"baseline seed {trial.seed}"
        )
    words = [] if trial.method == "noisy_teacher" else [trial.method.replace("_", " ")]
    if len(trial.teachers) > 1 or any(teacher.teachers for teacher in trial.teachers):
        words.append(f"of {chain_name(trial.teachers)}")
    if trial.combine != DEFAULT_COMBINATION:
        words.append(trial.combine.replace("_", " "))
    method = method_named(trial.method)
    words += _setting_words(method, trial, method.always_named, method.never_named)
    if trial.has_noise or "alpha" in method.always_named:
        words += [_sigma_word(trial), f"α={trial.alpha:.2f}"]
    words += noise_words(trial.noise)
    if trial.dropout > 0:
        words.append(f"dropout={trial.dropout:g}")
    if trial.train.weight_decay > 0:
        words.append(f"weight decay={trial.train.weight_decay:g}")
    return " ".join([*words, f"seed {trial.seed}"])


def chain_name(teachers: Sequence[TeacherConfig]) -> str:
    """Teachers with their own teachers: `takd-cnn4<takd-cnn8<takd-cnn10`; several are joined: `nin+alexnet-cifar10`.

    Settings that are not the default are in parentheses: `takd-cnn8(σ=0.50 α=0.50)<takd-cnn10`, and `nin(seed 1)` for a
    seed other than 0. If a teacher has several teachers of its own, they are in parentheses: `a<(b+c)`.
    """
    return "+".join(
        _with_own(teacher.network + _how_it_learns(teacher), teacher.teachers or ()) for teacher in teachers
    )


def _with_own(name: str, teachers: Sequence[TeacherConfig]) -> str:
    if not teachers:
        return name
    own = chain_name(teachers)
    return f"{name}<({own})" if len(teachers) > 1 else f"{name}<{own}"


def _how_it_learns(teacher: TeacherConfig) -> str:
    words = []
    if teacher.method not in (None, "soft_targets"):
        words.append(teacher.method.replace("_", " "))
    if teacher.combine not in (None, DEFAULT_COMBINATION):
        words.append(teacher.combine.replace("_", " "))
    if teacher.method is not None:
        words += _setting_words(method_named(teacher.method), teacher)
    if teacher.sigma is not None and teacher.alpha is not None:
        words += [_sigma_word(teacher), f"α={teacher.alpha:.2f}"]
        words += noise_words(settings_of(teacher)["noise"] or Noise())
    if teacher.seed != 0:
        words.append(f"seed {teacher.seed}")
    return f"({' '.join(words)})" if words else ""


def _setting_words(
    method: type[Method],
    of: TrialConfig | TeacherConfig,
    always: Collection[str] = (),
    never: Collection[str] = (),
) -> list[str]:
    """`title=value` for each setting of a method that is not its default, without the settings of the noise.

    Args:
        method: the method.
        of: the trial or teacher that has the settings.
        always: settings that are shown even if they have their default.
        never: settings that are not shown.
    """
    words = []
    for name, field in method.model_fields.items():
        value = setting_of(of, name)
        if name in NOISE_SETTINGS or name in never or value is None:
            continue
        if name in always or value != field.default:
            shown = f"{value:g}" if isinstance(value, int | float) else str(value)
            words.append(f"{field.title or name.replace('_', ' ')}={shown}")
    return words


_HANDLED = frozenset(
    {
        "stage",
        "role",
        "network",
        "method",
        "teachers",
        "combine",
        "seed",
        "teacher_seed",
        "train",
        "sigma",
        "alpha",
        "noise",
        "settings",
    }
)
"""Fields of `TrialConfig` that `run_params` and the tags of a run handle by name. Every other field is tracked as a
parameter if it is not its default. So a new setting is tracked, and has its own row, without a change here."""


def run_params(
    trial: TrialConfig,
    dataset: str,
    student: Cost | None,
    teachers: Cost | None,
    digests: Mapping[str, str] = NO_DIGESTS,
    design: TeacherConfig | None = None,
) -> dict[str, str]:
    """All parameters of a run, as text, because MLflow stores text.

    Args:
        trial: the training.
        dataset: the dataset's name.
        student: cost of the network that is trained (for a teacher run: the teacher); None if it is not known.
        teachers: summed cost of its teachers; None without teachers, or if the cost of one is not known.
        digests: as in `study.planning.keys.training_key`.
        design: of a teacher run, the teacher as the study file has it. Without one it is the trial itself. The two
            differ in their seeds where each seed of the study brings a teacher of its own.
    """
    params: dict[str, object] = {
        schema.DATASET: dataset,
        schema.STUDENT: trial.network,
        schema.METHOD: trial.method,
        schema.SIGMA: json.dumps(list(trial.sigma.uniform)) if isinstance(trial.sigma, Uniform) else trial.sigma,
        schema.SIGMA_MODE: "uniform" if isinstance(trial.sigma, Uniform) else "fixed",
        schema.NOISE: "frozen" if trial.noise.per == "image" else "fresh",
        schema.ALPHA: trial.alpha,
        schema.SEED: trial.seed,
    }
    if student is not None:
        params |= {schema.MULTIPLICATIONS: student.multiplications, schema.PARAMETERS: student.parameters}
    if trial.role == "teacher":
        params[schema.TEACHER] = params.pop(schema.STUDENT)
        for name in () if trial.teachers else (schema.SIGMA, schema.SIGMA_MODE, schema.NOISE, schema.ALPHA):
            del params[name]
        params[schema.TEACHER_KEY] = training_key(trial if design is None else teacher_trial(design), digests)
        chain = _with_own(trial.network, trial.teachers if design is None else design.teachers or ())
    else:
        params[schema.TEACHER] = "+".join(teacher.network for teacher in trial.teachers)
        params[schema.TEACHER_KEY] = teacher_key(trial.teachers, digests)
        chain = chain_name(trial.teachers)
    if chain != params[schema.TEACHER]:
        params[schema.TEACHER_CHAIN] = chain
    if teachers is not None:
        params[schema.TEACHER_MULTIPLICATIONS] = teachers.multiplications
    if len(trial.teachers) > 1 or trial.combine != DEFAULT_COMBINATION:
        params[schema.COMBINE] = trial.combine
    for name, field in type(trial).model_fields.items():
        if name not in _HANDLED and (value := getattr(trial, name)) != field.default:
            params[name] = value
    params |= trial.settings
    params |= {schema.NOISE_SETTING + name: value for name, value in trial.noise.changes.items()}
    if trial.has_noise and (reading := reading_of(trial.noise)) is not None:
        params[schema.READING] = reading
    params |= trial.train.model_dump(exclude_none=True)
    return {name: str(value) for name, value in params.items()}


def _sigma_word(of: TrialConfig | TeacherConfig) -> str:
    """`σ=0.50`; `σ=0.50 rms` where it is in units of the logits' root mean square."""
    return f"σ={_short(of.sigma)}" + (" rms" if of.sigma_unit == "logit_rms" else "")


def _short(sigma: Sigma) -> str:
    return f"U[{sigma.low:g},{sigma.high:g}]" if isinstance(sigma, Uniform) else f"{sigma:.2f}"
