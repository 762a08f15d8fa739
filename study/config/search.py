"""`search`: what is searched, by which sampler and scheduler, and how the result is confirmed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from study.config.mistakes import one_line
from study.config.seeds import NumberOfSeeds
from study.config.training import Idle, TrainConfig
from study.values import (
    Grid,
    Model,
    Seed,
    in_ticks,
    nearest,
)

MAX_TRIALS = 200_000
"""The most trainings of one study, so that a mistake in a grid is an error and does not fill the disk."""

Sampler = Literal["grid", "random", "qmc", "tpe", "gp", "cmaes"]
LEARNING_SAMPLERS: frozenset[Sampler] = frozenset({"tpe", "gp", "cmaes"})
"""Samplers that propose `startup_trials` at random, and later trials by a model of the earlier ones."""
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
    """How a searched point enters the table: it is trained again with seeds that the search did not use."""

    top: int = Field(1, ge=1, le=1000, description="how many of the best points are confirmed")
    seeds: NumberOfSeeds | None = Field(
        None, description="number of seeds, or seeds until every point is decided; by default as in the study's `seeds`"
    )


class SearchConfig(Model):
    """A search over the noise. It compares validation errors on one seed of its own, and never uses the test set."""

    space: str = Field("sigma_alpha", description="a space of search_spaces, or module:function")
    train: dict[str, SearchedSetting] = Field(
        {}, description="training settings to search beside the space, for instance lr: {log_uniform: [0.0001, 0.01]}"
    )
    sampler: Sampler = "tpe"
    trials: int = Field(
        60, ge=1, le=MAX_TRIALS, description="number of trials; the sampler grid has one for each of its points instead"
    )
    startup_trials: int = Field(
        10,
        ge=1,
        description="tpe, gp, cmaes: random trials before the sampler uses its model; median: completed trials before "
        "the scheduler stops any",
    )
    grid_points: int = Field(
        5, ge=1, le=10_000, description="sampler grid: number of values of each continuous parameter"
    )
    scheduler: Scheduler = Field(
        "fifo",
        description="fifo stops no trial early; asha: successive halving; median: stops trials worse than the median",
    )
    grace_epochs: int = Field(
        1, ge=1, le=100_000, description="asha, median: epochs before a trial can be stopped (asha: the lowest rung)"
    )
    reduction_factor: int = Field(
        4, ge=2, le=1000, description="asha: one of this many trials is promoted to the next rung"
    )
    objectives: tuple[Objective, ...] = Field(
        ("val_error",), min_length=1, description="what is minimised; with two, the Pareto front is confirmed"
    )
    seed: Seed | None = Field(
        None, description="seed of the trainings and of the sampler; by default the largest of `seeds` plus 1"
    )
    confirm: ConfirmConfig = ConfirmConfig()

    @model_validator(mode="after")
    def _is_one_search(self) -> Self:
        for key, setting in self.train.items():
            _check_searched(key, setting)
        if len(set(self.objectives)) != len(self.objectives) or "val_error" not in self.objectives:
            raise ValueError(
                f"objectives: expected val_error, or val_error and multiplications, not {list(self.objectives)}"
            )
        if len(self.objectives) > 1 and self.scheduler != "fifo":
            raise ValueError(f"scheduler: {self.scheduler} needs a single objective; use fifo with two")
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            raise ValueError("sampler: cmaes needs a single objective; use tpe, gp, random or qmc with two")
        return self

    def without_effect(self) -> Idle:
        """Settings that neither the sampler nor the scheduler uses."""
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
    """Check that a training setting accepts every value that a search may choose for it.

    Raises:
        ValueError: it does not, or there is no such setting.
    """
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
