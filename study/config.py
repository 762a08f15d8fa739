"""The study file as pydantic models: the one place for every default and every bound.

Works on what a user writes (YAML, `--set` overrides) and on what one training needs (`TrialConfig`). Knows nothing
of tensors, networks, Ray, Optuna or MLflow: whether a network fits its data is asked where both are known.
"""

import difflib
import math
import re
import reprlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    WrapSerializer,
    model_validator,
)

from study.errors import UserError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""A study name is also a folder name and an MLflow experiment name, so it can leave neither."""

MAX_SEED = 2**31 - 1
MAX_TRIALS = 200_000
"""Most trainings of one study, so that a slip in a grid is an error and not a full disk."""
MAX_KEYS, MAX_MERGED = 1000, 100
"""Most keys of one mapping, and most mappings merged into it (`<<`): each may hold as many as all before it."""
MAX_STUDY_FILE_CHARACTERS = 100_000
"""What PyYAML reads in a few seconds, whatever it is; a study file has some thousand."""


class Model(BaseModel):
    """Frozen, and strict about keys: a slip of the pen in a study file must not become a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for key in value:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key {in_ticks(key)}{nearest(key, cls.model_fields)}")
        return value


def nearest(word: object, known: Mapping[str, Any] | Sequence[str]) -> str:
    """`; did you mean ...?` with the nearest known word, else the list of what is known."""
    close = difflib.get_close_matches(word[:100], known, n=1) if isinstance(word, str) else []
    return f"; did you mean `{close[0]}`?" if close else f"; known: {', '.join(known)}"


# ---------------------------------------------------------------------------------------------------------- values


class Uniform(Model):
    """A value drawn from U[low, high], once per mini-batch (noisy teacher, section 5: randomised σ)."""

    uniform: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the low end {self.low} lies above the high end {self.high}")
        return self

    @property
    def low(self) -> float:
        return self.uniform[0]

    @property
    def high(self) -> float:
        return self.uniform[1]


def _sigma_kind(value: object) -> str:
    return "uniform" if isinstance(value, Mapping | Uniform) else "fixed"


Sigma = Annotated[
    Annotated[Annotated[float, Field(ge=0, le=100)], Tag("fixed")] | Annotated[Uniform, Tag("uniform")],
    Discriminator(_sigma_kind),
]
"""σ of ξ ~ N(0, σ²), a standard deviation: a number, or a range it is drawn from for every mini-batch."""

Share = Annotated[float, Field(ge=0, le=1)]
DropProbability = Annotated[float, Field(ge=0, lt=1)]
Temperature = Annotated[float, Field(gt=0, le=1000)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
NetworkReference = Annotated[str, Field(min_length=1, max_length=2000)]


def _as_grid(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _one_or_many(values: object, handler: SerializerFunctionWrapHandler) -> object:
    written = handler(values)
    return written[0] if len(written) == 1 else written


T = TypeVar("T")

Grid = Annotated[
    tuple[T, ...],
    Field(min_length=1, max_length=10_000),
    BeforeValidator(_as_grid),
    WrapSerializer(_one_or_many),
]
"""One value or a list of them; a list is a dimension of the arm's grid."""


# ------------------------------------------------------------------------------------------------------------ data

DatasetName = Literal["digits", "mnist", "svhn", "cifar10", "cifar100", "image_folder"]
Preprocessing = Literal["subtract_pixel_mean", "local_contrast_normalization"]

_DATA_DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"validation": 300},
    "mnist": {"validation": 10_000},
    "svhn": {"validation": 6_000, "preprocess": ["local_contrast_normalization"]},
    "cifar10": {"validation": 5_000, "preprocess": ["subtract_pixel_mean"], "augment": ["mirror"]},
    "cifar100": {"validation": 5_000, "preprocess": ["subtract_pixel_mean"], "augment": ["mirror"]},
    "image_folder": {"validation": 0.1, "preprocess": ["subtract_pixel_mean"], "augment": ["mirror"]},
}


class DataConfig(Model):
    """Which images, how they are split and what is done to them before a network sees them."""

    name: DatasetName
    path: str | None = Field(None, description="image_folder only: a folder or tar file of train/CLASS and test/CLASS")
    validation: int | float = Field(
        0.1, gt=0, description="training images held out: a count, or below 1 a share; stratified by class"
    )
    fraction: float = Field(
        1.0, gt=0, le=1, description="stratified share of the training images that students learn from; teachers: all"
    )
    preprocess: tuple[Preprocessing, ...] = ()
    augment: tuple[Literal["mirror"], ...] = Field((), description="mirror: every training image and its mirror image")
    split_seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_dataset(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return {**_DATA_DEFAULTS.get(value["name"], {}), **value}
        return value

    @model_validator(mode="after")
    def _is_one_dataset(self) -> Self:
        if (self.name == "image_folder") != (self.path is not None):
            needed = "needs" if self.path is None else "is not for"
            raise ValueError(f"`path` (a folder or tar file with train/CLASS and test/CLASS): {self.name} {needed} it")
        if len(set(self.preprocess)) < len(self.preprocess) or "local_contrast_normalization" in self.preprocess[1:]:
            raise ValueError(
                f"preprocess: every step once, local_contrast_normalization first, not {list(self.preprocess)}"
            )
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(f"validation is a count of images or a share below 1, not {self.validation}")
        return self

    @property
    def mirror(self) -> bool:
        return "mirror" in self.augment


# -------------------------------------------------------------------------------------------------------- training


Precision = Literal["fp32", "tf32", "bf16"]
"""What training multiplies in; weights, sums and losses are float32 in each of them. Errors are measured in fp32."""


class TrainConfig(Model):
    """How one network is trained. Paper: Adam, mini-batch 64, ended by validation; the rest is ours."""

    epochs: int = Field(60, ge=1, le=100_000)
    batch_size: int = Field(64, ge=1, le=1_000_000)
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = Field(1e-3, gt=0, le=100)
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only (Nesterov)")
    weight_decay: float = Field(0.0, ge=0, le=10)
    schedule: Literal["constant", "cosine"] = "constant"
    patience: int = Field(15, ge=0, description="epochs without a better validation error before stopping; 0: never")
    precision: Precision = Field(
        "fp32", description="of products in training: fp32; tf32 (fp32 where there is no such GPU); bf16"
    )
    target_error: float | None = Field(
        None, ge=0, lt=1, description="a validation error; epochs and seconds until it is reached are then tracked"
    )

    def without_effect(self) -> "Idle":
        """Settings that the training of one network does not look at."""
        if self.optimizer != "sgd":
            yield ("momentum",), _WITHOUT_SGD


# --------------------------------------------------------------------------------------------------------- methods

Method = Literal["logit_regression", "noisy_teacher", "noisy_student", "soft_targets", "labels"]
NoiseKind = Literal["fresh", "frozen"]
Combination = Literal["geometric_mean", "signed_geometric_mean", "mean_distribution"]
"""What several teachers say together. The geometric mean is that of their distributions (the arithmetic mean of their
logits), the signed one the literal reading, of the logits themselves; the mean distribution is an ensemble's."""

_NOISE = ("sigma", "alpha", "noise")
METHOD_SETTINGS: dict[Method, tuple[str, ...]] = {
    "logit_regression": (),
    "noisy_teacher": _NOISE,
    "noisy_student": _NOISE,
    "soft_targets": ("temperature", "hard_loss_weight", *_NOISE),
    "labels": (),
}
"""Which settings each method has to itself; what is not listed may not be given. Besides, every method with teachers
takes `combine`, and every method `dropout` and `weight_decay`."""

DEFAULT_ALPHA = 0.5
DEFAULT_TEMPERATURE = 4.0
DEFAULT_HARD_LOSS_WEIGHT = 0.0
DEFAULT_COMBINATION: Combination = "geometric_mean"


def _check_method(method: Method, given: Mapping[str, object], combinations: Sequence[Combination]) -> None:
    """Whether a method takes these settings (absent ones are None) and combines teachers in these ways."""
    for setting, value in given.items():
        if value is not None and setting not in METHOD_SETTINGS[method]:
            owners = ", ".join(owner for owner, names in METHOD_SETTINGS.items() if setting in names)
            raise ValueError(f"`{setting}` is not a setting of {method}, but of {owners}")
    if method in ("noisy_teacher", "noisy_student") and given["sigma"] is None:
        raise ValueError(f"{method} needs `sigma` (a standard deviation, a list of them, or a uniform range)")
    if method == "labels" and combinations:
        raise ValueError("`combine` is not a setting of labels, which has no teachers")
    if "mean_distribution" in combinations and method != "soft_targets":
        raise ValueError(
            f"combine: mean_distribution is for soft_targets, not for {method}: a distribution's logarithm stands for "
            "logits only up to a constant"
        )


_WITHOUT_SGD = "with the optimizer adam"

Idle = Iterator[tuple[tuple[str | int, ...], str]]
"""Settings that have no effect whatever their value is: where they stand, and why they have none.

A study file may not give them, and a printed one leaves them out.
"""


def _within(part: str | int, idle: Idle) -> Idle:
    return (((part, *path), why) for path, why in idle)


def _idle_settings(
    teachers: int,
    sigma: Sequence[Sigma] | None,
    alpha: Sequence[float] | None,
    hard_loss_weight: Sequence[float] | None,
    combine: Sequence[Combination] | None,
    sigma_is_optional: bool,
) -> Idle:
    """Which settings of a training with teachers have no effect. Where a setting has several values, all are looked at.

    Args:
        teachers: how many it has.
        sigma, alpha, hard_loss_weight, combine: their values; None where they are not given.
        sigma_is_optional: whether the method does without noise, so that nobody had to give a `sigma`.
    """
    if hard_loss_weight and all(weight == 1 for weight in hard_loss_weight):
        for name in ("temperature", "combine", *_NOISE):
            yield (name,), "with hard_loss_weight 1, which learns from the labels alone"
        return
    without = None
    if sigma is None:
        without = "without `sigma`"
    elif not any(_largest(value) for value in sigma):
        without = "with sigma 0"
    if without is not None:
        yield ("alpha",), without
    if without is None and alpha is not None and not any(alpha):
        without = "with alpha 0"
        if sigma_is_optional:
            yield ("sigma",), without
    if without is not None:
        yield ("noise",), without
    # The logarithm of one teacher's distribution is its logits less a constant, which only noise tells apart.
    if teachers == 1 and not (combine and "mean_distribution" in combine and without is None):
        yield ("combine",), "with one teacher"


def _largest(sigma: Sigma) -> float:
    return sigma.high if isinstance(sigma, Uniform) else sigma


# -------------------------------------------------------------------------------------------------------- networks

MAX_TEACHERS = 100
"""Most teachers of one student, their own teachers included."""


class TeacherConfig(Model):
    """A network to learn from: trained here, or read from a safetensors file.

    It learns from the labels, or from teachers of its own: a teacher assistant (Mirzadeh et al. 2020), by default with
    the soft-target loss. Assistants of assistants make a chain of any length.
    """

    network: NetworkReference
    weights: str | None = Field(None, description="a .safetensors file; then nothing is trained")
    train: TrainConfig = TrainConfig()
    seed: Seed = 0
    teachers: (
        Annotated[tuple["TeacherConfig", ...], Field(min_length=1, max_length=MAX_TEACHERS, fail_fast=True)] | None
    ) = Field(None, description="its own teachers; without them it learns from the labels")
    method: Method | None = Field(None, description="how it learns from them (soft_targets); below: as in an arm")
    combine: Combination | None = None
    sigma: Sigma | None = None
    alpha: Share | None = None
    noise: NoiseKind | None = None
    temperature: Temperature | None = None
    hard_loss_weight: Share | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _defaults_of_an_assistant(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, Mapping) or value.get("teachers") is None:
            return validate(value)
        given = {key: setting for key, setting in value.items() if setting is not None}
        defaults: dict[str, Any] = {"method": "soft_targets", "combine": DEFAULT_COMBINATION}
        if given.get("method", "soft_targets") == "soft_targets":
            defaults |= {"temperature": DEFAULT_TEMPERATURE, "hard_loss_weight": DEFAULT_HARD_LOSS_WEIGHT}
        if "sigma" in given:
            defaults |= {"alpha": DEFAULT_ALPHA, "noise": "fresh"}
        teacher = validate({**defaults, **given})
        teacher.model_fields_set.difference_update(defaults.keys() - given.keys())
        return teacher

    @model_validator(mode="after")
    def _is_one_training(self) -> Self:
        settings = {name: getattr(self, name) for name in (*_NOISE, "temperature", "hard_loss_weight")}
        if self.teachers is None:
            for name, value in {"method": self.method, "combine": self.combine, **settings}.items():
                if value is not None:
                    raise ValueError(f"`{name}` says how it learns from its own `teachers`, and it has none")
            return self
        if self.weights is not None:
            raise ValueError("`weights` stand in for training, so they go without `teachers` of its own")
        if self.method is None or self.method == "labels":
            raise ValueError("method: with `teachers` of its own it does not learn from labels")
        _check_method(self.method, settings, (self.combine,) if self.combine else ())
        if self.count > MAX_TEACHERS:
            raise ValueError(f"teachers: {self.count} of them in one chain; at most {MAX_TEACHERS}")
        return self

    @property
    def count(self) -> int:
        """How many trainings it takes: its own, and those of its teachers."""
        return 1 + sum(teacher.count for teacher in self.teachers or ())

    def without_effect(self) -> Idle:
        """Settings that neither its training nor that of its own teachers looks at."""
        if self.weights is not None:
            for name in ("train", "seed"):
                yield (name,), "for a teacher that is read from `weights`"
            return
        yield from _within("train", self.train.without_effect())
        if self.teachers is None:
            return
        yield from _idle_settings(
            len(self.teachers),
            sigma=None if self.sigma is None else (self.sigma,),
            alpha=None if self.alpha is None else (self.alpha,),
            hard_loss_weight=None if self.hard_loss_weight is None else (self.hard_loss_weight,),
            combine=None if self.combine is None else (self.combine,),
            sigma_is_optional=self.method == "soft_targets",
        )
        for index, teacher in enumerate(self.teachers):
            yield from _within("teachers", _within(index, teacher.without_effect()))


class StudentConfig(Model):
    """The network that is to err least."""

    network: NetworkReference


# ------------------------------------------------------------------------------------------------------------ arms


class ArmStudent(Model):
    network: Grid[NetworkReference]


class ArmConfig(Model):
    """One row of a table, or a grid of them: how a student learns, and where it differs from the study."""

    method: Method
    sigma: Grid[Sigma] | None = Field(None, description="standard deviation of the perturbation; needed by noisy_*")
    alpha: Grid[Share] | None = Field(None, description="share of perturbed samples; 0.5 where there is a sigma")
    noise: Grid[NoiseKind] | None = Field(None, description="fresh for every mini-batch, or one frozen draw per image")
    temperature: Grid[Temperature] | None = Field(None, description="soft_targets: τ (4)")
    hard_loss_weight: Grid[Share] | None = Field(None, description="soft_targets: 1 − λ, the labels' weight (0)")
    combine: Grid[Combination] | None = Field(None, description="what several teachers say together (geometric_mean)")
    dropout: Grid[DropProbability] | None = Field(
        None, description="drop probability after the student's hidden fully connected layers; notation networks only"
    )
    weight_decay: Grid[Annotated[float, Field(ge=0, le=10)]] | None = Field(
        None, description="instead of the study's train.weight_decay"
    )
    student: ArmStudent | None = None
    teachers: Annotated[tuple[TeacherConfig, ...], Field(min_length=1, max_length=100)] | None = None
    train: dict[str, Grid[Any]] | None = Field(None, description="training settings that differ from the study's")

    @property
    def size(self) -> int:
        """How many points the arm's grid has."""
        settings = (self.sigma, self.alpha, self.noise, self.temperature, self.hard_loss_weight, self.combine)
        of_the_student = (self.dropout, self.weight_decay, self.student.network if self.student is not None else None)
        grid = (*settings, *of_the_student, *(self.train or {}).values())
        return math.prod(len(values) for values in grid if values)

    @property
    def training(self) -> dict[str, tuple[Any, ...]]:
        """The training settings that it has itself, each with its values."""
        decay = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        return {**(self.train or {}), **decay}

    def without_effect(self, teachers: int) -> Idle:
        """Settings that no point of the arm looks at, but for those of `train`, which depend on the study's.

        Args:
            teachers: how many the study has.
        """
        if self.method == "labels":
            yield ("teachers",), "with the method labels, which has no teachers"
            return
        yield from _idle_settings(
            teachers if self.teachers is None else len(self.teachers),
            sigma=self.sigma,
            alpha=self.alpha,
            hard_loss_weight=self.hard_loss_weight,
            combine=self.combine,
            sigma_is_optional=self.method == "soft_targets",
        )
        for index, teacher in enumerate(self.teachers or ()):
            yield from _within("teachers", _within(index, teacher.without_effect()))

    @model_validator(mode="after")
    def _settings_of_the_method(self) -> Self:
        given = {name: getattr(self, name) for name in (*_NOISE, "temperature", "hard_loss_weight")}
        _check_method(self.method, given, self.combine or ())
        if self.weight_decay is not None and "weight_decay" in (self.train or {}):
            raise ValueError("weight_decay: given twice, the other one is in `train`")
        for key, values in (self.train or {}).items():
            if key not in TrainConfig.model_fields:
                raise ValueError(f"train: unknown key {in_ticks(key)}{nearest(key, TrainConfig.model_fields)}")
            for value in values:
                try:
                    TrainConfig.model_validate({key: value})
                except ValidationError as error:
                    raise ValueError(f"train.{one_line(error)}") from None
        return self


class BaselineConfig(ArmConfig):
    """What the arms are compared with."""

    search: Literal["equal"] | None = Field(
        None, description="equal: its training settings are searched with the budget that the arms' search has"
    )


# ---------------------------------------------------------------------------------------------------------- search

Sampler = Literal["grid", "random", "qmc", "tpe", "gp", "cmaes"]
LEARNING_SAMPLERS: frozenset[Sampler] = frozenset({"tpe", "gp", "cmaes"})
"""Samplers that propose at random for `startup_trials` and by a model of these trials from then on."""
Scheduler = Literal["fifo", "asha", "median"]
Objective = Literal["val_error", "multiplications"]


class SettingRange(Model):
    """A training setting drawn from a range: evenly, or evenly in its logarithm."""

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        if (self.uniform is None) == (self.log_uniform is None):
            raise ValueError("a range is `uniform: [low, high]` or `log_uniform: [low, high]`")
        if self.low >= self.high:
            raise ValueError(f"the low end {self.low:g} does not lie below the high end {self.high:g}")
        if self.is_log and self.low <= 0:
            raise ValueError(f"log_uniform: the low end {self.low:g} is not above 0")
        return self

    @property
    def is_log(self) -> bool:
        return self.log_uniform is not None

    @property
    def low(self) -> float:
        return (self.uniform or self.log_uniform or (0.0, 0.0))[0]

    @property
    def high(self) -> float:
        return (self.uniform or self.log_uniform or (0.0, 0.0))[1]


def _setting_kind(value: object) -> str:
    return "range" if isinstance(value, Mapping | SettingRange) else "choices"


SearchedSetting = Annotated[
    Annotated[SettingRange, Tag("range")] | Annotated[Grid[Any], Tag("choices")], Discriminator(_setting_kind)
]
"""What a search may choose for a training setting: a range, or a list of values."""


class ConfirmConfig(Model):
    """How a searched point enters the table: trained again over seeds that the search never saw."""

    top: int = Field(1, ge=1, le=1000, description="how many of the best points are confirmed")
    seeds: int | None = Field(None, ge=1, le=1000, description="over how many seeds; absent: the study's own seeds")


class SearchConfig(Model):
    """A search over the noise, judged by validation error on one seed of its own; the test set is never seen."""

    space: str = Field("sigma_alpha", description="a space of search_spaces, or module:function")
    train: dict[str, SearchedSetting] = Field(
        {}, description="training settings to search beside the space, for instance lr: {log_uniform: [0.0001, 0.01]}"
    )
    sampler: Sampler = "tpe"
    trials: int = Field(60, ge=1, le=MAX_TRIALS, description="every sampler but grid, which has its own number")
    startup_trials: int = Field(
        10,
        ge=1,
        description="tpe, gp, cmaes: random trials before the model; median: completed trials before it stops one",
    )
    grid_points: int = Field(5, ge=1, le=10_000, description="sampler grid: values of every continuous parameter")
    scheduler: Scheduler = Field("fifo", description="what stops trials early: nothing, successive halving, the median")
    grace_epochs: int = Field(
        1, ge=1, le=100_000, description="asha, median: epochs that every trial gets (asha: the lowest rung)"
    )
    reduction_factor: int = Field(4, ge=2, le=1000, description="asha: one of so many is promoted to the next rung")
    objectives: tuple[Objective, ...] = Field(
        ("val_error",), min_length=1, description="what is minimised; with two, the Pareto front is confirmed"
    )
    seed: Seed | None = Field(None, description="seed of the trainings and of the sampler; absent: one past `seeds`")
    confirm: ConfirmConfig = ConfirmConfig()

    @model_validator(mode="after")
    def _is_one_search(self) -> Self:
        for key, setting in self.train.items():
            _check_searched(key, setting)
        if len(set(self.objectives)) != len(self.objectives) or "val_error" not in self.objectives:
            raise ValueError(f"objectives: val_error, or val_error and multiplications, not {list(self.objectives)}")
        if len(self.objectives) > 1 and self.scheduler != "fifo":
            raise ValueError(f"scheduler: {self.scheduler} stops trials by one objective; with two it is fifo")
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            raise ValueError("sampler: cmaes has one objective; for two take tpe, gp, random or qmc")
        return self

    def without_effect(self) -> Idle:
        """Settings that neither the sampler nor the scheduler looks at."""
        if self.sampler == "grid":
            yield ("trials",), "with the sampler grid, which has as many trials as its grid has points"
        else:
            yield ("grid_points",), f"with the sampler {self.sampler}"
        if self.sampler not in LEARNING_SAMPLERS and self.scheduler != "median":
            yield ("startup_trials",), f"with the sampler {self.sampler} and the scheduler {self.scheduler}"
        if self.scheduler == "fifo":
            yield ("grace_epochs",), "with the scheduler fifo, which stops no trial early"
        if self.scheduler != "asha":
            yield ("reduction_factor",), f"with the scheduler {self.scheduler}"


def _check_searched(key: str, setting: SettingRange | tuple[Any, ...]) -> None:
    """Whether a training setting can take everything a search may choose for it."""
    if key not in TrainConfig.model_fields:
        raise ValueError(f"train: unknown key {in_ticks(key)}{nearest(key, TrainConfig.model_fields)}")
    is_range = isinstance(setting, SettingRange)
    whole = TrainConfig.model_fields[key].annotation is int
    for value in (setting.low, setting.high) if isinstance(setting, SettingRange) else setting:
        try:
            TrainConfig.model_validate({key: value})
        except ValidationError as error:
            raise ValueError(f"train.{one_line(error)}") from None
        if is_range and whole and value != int(value):
            raise ValueError(f"train.{key}: expected whole numbers, not {value:g}")


class ResourcesConfig(Model):
    """What a trial may use. One thread per CPU of the trial."""

    workers: int | Literal["auto"] = Field("auto", description="trials at once; auto: as many as the cluster bears")
    cpus_per_trial: int = Field(1, ge=1, le=1024)
    gpus_per_trial: float = Field(0, ge=0, le=64)

    @model_validator(mode="after")
    def _at_least_one_worker(self) -> Self:
        if self.workers != "auto" and self.workers < 1:
            raise ValueError(f"workers is auto or at least 1, not {self.workers}")
        return self

    @model_validator(mode="after")
    def _gpus_as_they_can_be_had(self) -> Self:
        if self.gpus_per_trial > 1 and self.gpus_per_trial != int(self.gpus_per_trial):
            raise ValueError(f"gpus_per_trial is a share of one GPU or a whole number, not {self.gpus_per_trial:g}")
        return self


# ----------------------------------------------------------------------------------------------------------- study


def unused_seeds(seeds: Sequence[int]) -> Iterator[int]:
    """Seeds that are not among these: those past the largest, then from 0."""
    used, last = set(seeds), max(seeds)
    for step in range(1, MAX_SEED + 1):
        if (seed := (last + step) % (MAX_SEED + 1)) not in used:
            yield seed


class _Training(NamedTuple):
    """How the students of the baseline, of an arm or of the search are trained.

    Attributes:
        own: the training settings that they do not take from the study.
        may_use_sgd: whether the optimizer of any of them can be sgd.
    """

    own: frozenset[str]
    may_use_sgd: bool


class StudyConfig(Model):
    """One study: its data, its teachers, its arms over seeds, its search."""

    name: str = Field(pattern=NAME_PATTERN)
    published: str | None = Field(None, description="a table of search_spaces.published to print beside ours")
    data: DataConfig
    teachers: tuple[TeacherConfig, ...] = Field(min_length=1, max_length=100)
    student: StudentConfig
    train: TrainConfig = TrainConfig()
    baseline: BaselineConfig = BaselineConfig(method="logit_regression")
    arms: tuple[ArmConfig, ...] = Field((), max_length=1000)
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1, max_length=1000)
    search: SearchConfig | None = None
    resources: ResourcesConfig = ResourcesConfig()

    @model_validator(mode="after")
    def _is_one_study(self) -> Self:
        if self.baseline.size > 1 or self.baseline.student is not None:
            raise ValueError("baseline: one setting for every student, so it takes no list of values and no `student`")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: every seed once, not {list(self.seeds)}")
        if self.baseline.search is not None:
            self._check_searched_baseline()
        if not self.arms and self.search is None:
            raise ValueError("nothing to compare with the baseline: give `arms`, `search` or both")
        points = sum(arm.size for arm in self.arms) * len(self.seeds)
        if points > MAX_TRIALS:
            raise ValueError(f"arms: {points} trainings (points times seeds); at most {MAX_TRIALS} fit one study")
        for path, why in self.without_effect():
            if self._is_given(path):
                raise ValueError(f"{'.'.join(map(str, path))}: has no effect {why}; leave it out")
        return self

    def without_effect(self) -> Idle:
        """Settings that no training and no stage of the study looks at: they may not be given, and are not printed."""
        for index, teacher in enumerate(self.teachers):
            yield from _within("teachers", _within(index, teacher.without_effect()))
        yield from _within("train", self._training_without_effect())
        arms: list[tuple[tuple[str | int, ...], ArmConfig]] = [(("baseline",), self.baseline)]
        arms += [(("arms", index), arm) for index, arm in enumerate(self.arms)]
        for where, arm in arms:
            for path, why in arm.without_effect(len(self.teachers)):
                yield (*where, *path), why
            if "momentum" in (arm.train or {}) and not self._of_arm(arm).may_use_sgd:
                yield (*where, "train", "momentum"), _WITHOUT_SGD
        if self.search is not None:
            yield from _within("search", self.search.without_effect())
            searched = [self._of_search(self.search), *([self._of_arm(self.baseline)] if self.baseline.search else [])]
            if "momentum" in self.search.train and not any(training.may_use_sgd for training in searched):
                yield ("search", "train", "momentum"), _WITHOUT_SGD

    def _training_without_effect(self) -> Idle:
        """Which of `train` no student takes: its arm, or the search, has a value of its own."""
        trainings = [self._of_arm(arm) for arm in (self.baseline, *self.arms)]
        if self.search is not None:
            trainings.append(self._of_search(self.search))
        for name in TrainConfig.model_fields:
            takers = [training for training in trainings if name not in training.own]
            if not takers:
                yield (name,), "because every training of a student has a value of its own"
            elif name == "momentum" and not any(training.may_use_sgd for training in takers):
                yield (name,), _WITHOUT_SGD

    def _of_arm(self, arm: ArmConfig) -> "_Training":
        own: dict[str, SearchedSetting] = {**arm.training}
        if isinstance(arm, BaselineConfig) and arm.search is not None and self.search is not None:
            own |= self.search.train
        return _Training(frozenset(own), self._has_sgd(own))

    def _of_search(self, search: SearchConfig) -> "_Training":
        # What else a user's own space sets is not known.
        return _Training(frozenset(search.train), ":" in search.space or self._has_sgd(search.train))

    def _has_sgd(self, own: Mapping[str, SearchedSetting]) -> bool:
        optimizers = own.get("optimizer", (self.train.optimizer,))
        return not isinstance(optimizers, SettingRange) and "sgd" in optimizers

    def _is_given(self, path: tuple[str | int, ...]) -> bool:
        here: Any = self
        for part in path[:-1]:
            here = getattr(here, str(part)) if isinstance(here, Model) else here[part]
        if not isinstance(here, Model):
            return path[-1] in here
        return path[-1] in here.model_fields_set and getattr(here, str(path[-1])) is not None

    def _check_searched_baseline(self) -> None:
        if self.search is None or not self.search.train:
            raise ValueError("baseline.search: equal needs `search.train`, the settings that both are searched over")
        if self.search.sampler == "grid":
            raise ValueError(
                "baseline.search: equal cannot be had with the sampler grid: the arms have more points than the "
                "baseline; take another sampler"
            )
        if self.arms:
            raise ValueError(
                "baseline.search: a searched baseline has settings that the `arms` do not have; they need a study of "
                "their own"
            )
        if taken := set(self.search.train) & set(self.baseline.training):
            where = "baseline.train" if min(taken) in (self.baseline.train or {}) else "baseline"
            raise ValueError(f"{where}: {min(taken)} is searched, so it cannot be given as well")

    @property
    def search_seed(self) -> int:
        """The seed the search trains with: none of the seeds its winners are confirmed over."""
        if self.search is not None and self.search.seed is not None:
            return self.search.seed
        return next(unused_seeds(self.seeds))

    @property
    def confirmation_seeds(self) -> tuple[int, ...]:
        """The seeds over which the search's winners are confirmed; none where there is no search.

        The search never trained with them: the study's own seeds, and as many more as the confirmation asks for.
        """
        if self.search is None:
            return ()
        wanted = self.search.confirm.seeds or len(self.seeds)
        own = [seed for seed in self.seeds if seed != self.search_seed]
        return tuple(islice(chain(own, unused_seeds([*self.seeds, self.search_seed])), wanted))


# ---------------------------------------------------------------------------------------------------- one training

Stage = Literal["teacher", "grid", "search", "confirm"]
Role = Literal["teacher", "baseline", "arm"]
Outcome = Literal["completed", "pruned", "diverged", "failed"]


class TrialConfig(Model):
    """Everything that determines one training on given images: a student's, or (stage `teacher`) a teacher's."""

    stage: Stage
    role: Role
    network: NetworkReference
    method: Method
    teachers: tuple[TeacherConfig, ...] = ()
    weights: str | None = Field(None, description="a safetensors file that stands in for training (teachers only)")
    sigma: Sigma = 0.0
    alpha: Share = 0.0
    noise: NoiseKind = "fresh"
    temperature: float | None = None
    hard_loss_weight: float | None = None
    combine: Combination = DEFAULT_COMBINATION
    dropout: DropProbability = 0.0
    train: TrainConfig
    seed: Seed

    @model_validator(mode="after")
    def _settings_of_the_method(self) -> Self:
        takes = METHOD_SETTINGS[self.method]
        if self.sigma != 0 and "sigma" not in takes:
            raise ValueError(f"{self.method} has no noise, so no sigma")
        for setting in ("temperature", "hard_loss_weight"):
            if (getattr(self, setting) is None) == (setting in takes):
                raise ValueError(f"{self.method} {'needs' if setting in takes else 'has no'} `{setting}`")
        if self.combine == "mean_distribution" and self.method != "soft_targets":
            raise ValueError(f"{self.method} does not learn from a mean distribution")
        return self

    @property
    def sees_test_set(self) -> bool:
        """Search trials are judged by validation error alone."""
        return self.stage != "search"

    @property
    def has_noise(self) -> bool:
        """Whether any logit is perturbed. With α = 0 or σ = 0 none is, which is the plain method."""
        largest = self.sigma.high if isinstance(self.sigma, Uniform) else self.sigma
        return largest > 0 and self.alpha > 0


def teacher_trial(teacher: TeacherConfig) -> TrialConfig:
    """The training of one teacher: from labels, or from teachers of its own."""
    noise = {} if teacher.sigma is None else {"sigma": teacher.sigma, "alpha": teacher.alpha, "noise": teacher.noise}
    return TrialConfig(
        stage="teacher",
        role="teacher",
        network=teacher.network,
        weights=teacher.weights,
        method=teacher.method or "labels",
        teachers=teacher.teachers or (),
        combine=teacher.combine or DEFAULT_COMBINATION,
        **noise,
        temperature=teacher.temperature,
        hard_loss_weight=teacher.hard_loss_weight,
        train=teacher.train,
        seed=teacher.seed,
    )


# --------------------------------------------------------------------------------------------- reading and writing


def one_line(error: ValidationError, document: Any = None) -> str:
    """The first mistake of a validation as `key: what is wrong (value)`, and how many more there are.

    Args:
        error: the validation's.
        document: what was validated, where it is at hand: a value that stands alone has no position then.
    """
    errors = error.errors(include_url=False)
    # A list that lost an item to a mistake is reported as too short as well: that is the same mistake.
    errors = [e for e in errors if not any(_lies_within(other["loc"], e["loc"]) for other in errors)]
    first, where = errors[0], _key_of(errors[0]["loc"], document)
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] in _IN_YAML_TERMS:
        what = _IN_YAML_TERMS[first["type"]].format(**first.get("ctx", {}))
        what = re.sub(r"\b(1 item)s\b", r"\1", what)
    if first["type"] not in ("value_error", "missing"):
        what = f"{what[0].lower()}{what[1:]}, not {shown(first['input'])}"
    # A value that may be of several types has one error for each of them.
    others = len({_key_of(e["loc"], document) for e in errors}) - 1
    more = f" (and {others} more)" if others else ""
    return " ".join(f"{where + ': ' if where else ''}{what}{more}".split())


_IN_YAML_TERMS = {
    "tuple_type": "expected a list",
    "too_short": "expected at least {min_length} items",
    "too_long": "expected at most {max_length} items",
    "model_type": "expected a mapping of keys",
    "dict_type": "expected a mapping of keys",
}
"""What pydantic says in terms of Python."""


def _key_of(location: tuple[int | str, ...], document: Any) -> str:
    """The dotted key of an error, without the names of the types that were tried."""
    types = ("fixed", "uniform", "range", "choices", "int", "float", "literal['auto']")
    key, here = [], document
    for part in location:
        if part in types:
            continue
        if isinstance(part, int) and document is not None and not isinstance(here, list | tuple):
            continue  # one value stands for a list of one
        key.append(str(part))
        try:
            here = here[part]
        except (TypeError, KeyError, IndexError):  # a key that is missing, or a default
            here = None
    return ".".join(key)


def _lies_within(inner: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def shown(value: object) -> str:
    """A value as Python writes it, in at most 60 characters, whatever its size and depth."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python refuses to write out an integer of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def in_ticks(key: object) -> str:
    return f"`{shown(key)[1:-1] if isinstance(key, str) else shown(key)}`"


def parse_study(text: str, source: str, overrides: Sequence[str] = (), name: str | None = None) -> StudyConfig:
    """Read a study file.

    Args:
        text: YAML.
        source: what to call it in an error (a recipe's name, a path).
        overrides: `dotted.key=YAML value`, applied in order before validation.
        name: replaces the study's name.

    Raises:
        UserError: one line that names the key, the value and what is allowed.
    """
    if len(text) > MAX_STUDY_FILE_CHARACTERS:
        raise UserError(f"{source}: longer than {MAX_STUDY_FILE_CHARACTERS} characters; is it a study file?")
    document = _safe_yaml(text, source)
    if not isinstance(document, dict):
        raise UserError(
            f"{source}: a study file is a mapping of keys (name, data, teachers, ...), not {_kind(document)}"
        )
    for override in overrides:
        _apply(document, override)
    if name is not None:
        document["name"] = name
    try:
        config = StudyConfig.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{source}: {one_line(error, document)}") from None
    _refuse_coerced(document, source, ())
    return config


def dump_study(config: StudyConfig) -> str:
    """The study file with every default filled in that has an effect; `parse_study` reads back an equal config."""
    document = config.model_dump(mode="json", exclude_none=True)
    for path, _ in config.without_effect():
        here: Any = document
        for part in path[:-1]:
            here = here.get(part, {}) if isinstance(here, dict) else here[part]
        here.pop(path[-1], None)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def read_text(path: Path) -> str:
    """A study file's text, or one line about why not."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"cannot read the study file {path}: {reason}") from None


class _Loader(yaml.SafeLoader):
    """The safe loader, with bounds on the one thing that it writes out: mappings that are merged (`<<`)."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        merged = [value for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
        count = sum(len(value.value) if isinstance(value, yaml.SequenceNode) else 1 for value in merged)
        if count <= MAX_MERGED:
            super().flatten_mapping(node)
        if count > MAX_MERGED or len(node.value) > MAX_KEYS:
            problem = f"at most {MAX_MERGED} mappings are merged, to at most {MAX_KEYS} keys"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _safe_yaml(text: str, where: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise UserError(f"{where}: not valid YAML{place}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    except (ValueError, OverflowError, RecursionError, TypeError, AttributeError, KeyError) as error:
        # PyYAML lets these through for text such as a 14th month or a thousand open brackets.
        raise UserError(f"{where}: not valid YAML: {' '.join(str(error).split())[:200]}") from None


def _refuse_coerced(value: Any, source: str, where: tuple[str, ...]) -> None:
    """Refuse scalars that pass validation and mean nothing: no key takes a boolean (which counts as 0 or 1), and no
    text of a study file has control characters (no path or file name can be made of them).

    Numbers written as text are taken: YAML reads `1e-3` as text.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_coerced(item, source, (*where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_coerced(item, source, (*where, str(index)))
    elif isinstance(value, bool):
        raise UserError(
            f"{source}: {'.'.join(where)}: no key takes {str(value).lower()} (as YAML reads yes, no, on and off too)"
        )
    elif isinstance(value, str) and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise UserError(f"{source}: {'.'.join(where)}: control characters in {shown(value)}")


def _apply(document: dict[Any, Any], override: str) -> None:
    """Set one `dotted.key=value` in the raw document, making the mappings on its way."""
    key, equals, value = override.partition("=")
    key, override = " ".join(key.split()), " ".join(override.split())[:200]
    if not equals or not key:
        raise UserError(f"--set {override}: expected key=value, for instance train.epochs=2")
    parts = key.split(".")
    here: Any = document
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(here, list):
            if not part.isdecimal() or int(part) >= len(here):
                raise UserError(f"--set {override}: `{part}` is no position in a list of {len(here)} (0 is the first)")
            index: Any = int(part)
        elif isinstance(here, dict):
            index = part
        else:
            raise UserError(f"--set {override}: {'.'.join(parts[:depth])} is {_kind(here)} and has no `{part}`")
        if last:
            try:
                here[index] = _safe_yaml(value, f"--set {override}")
            except UserError as error:
                # A network's line begins like a YAML list.
                raise UserError(f"{error}; text that begins with a bracket needs quotes: {key}='\"...\"'") from None
        else:
            if isinstance(here, dict) and here.get(index) is None:
                here[index] = {}
            here = here[index]


def _kind(value: Any) -> str:
    return {"NoneType": "empty", "str": "text", "list": "a list", "dict": "a mapping"}.get(
        type(value).__name__, shown(value)
    )
