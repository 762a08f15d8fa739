"""`arms` and `baseline`: how students learn."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    model_validator,
)

from study.config.methods import READING, ArmSettings, check_method, settings_of
from study.config.mistakes import one_line
from study.config.teachers import TeacherConfig
from study.config.training import Idle, TrainConfig, within
from study.methods import method_named
from study.methods.base import Combination
from study.values import (
    DropProbability,
    Grid,
    Model,
    NetworkReference,
    in_ticks,
    nearest,
)


class ArmStudent(Model):
    network: Grid[NetworkReference]


class ArmConfig(ArmSettings):
    """One row of a table, or a grid of rows: how a student learns, and which settings differ from the study's."""

    combine: Grid[Combination] | None = Field(None, description="how several teachers are combined (geometric_mean)")
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
        of_the_student = (self.dropout, self.weight_decay, self.student.network if self.student is not None else None)
        grid = (*settings_of(self).values(), self.combine, *of_the_student, *(self.train or {}).values())
        return math.prod(len(values) for values in grid if values)

    @property
    def training(self) -> dict[str, tuple[Any, ...]]:
        """The arm's own training settings, each with its values."""
        decay = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        return {**(self.train or {}), **decay}

    def without_effect(self, teachers: int) -> Idle:
        """Settings that no point of the arm uses. Those of `train` are not in it, because they depend on the study's.

        Args:
            teachers: how many the study has.
        """
        values = {**settings_of(self), "combine": self.combine}
        count = teachers if self.teachers is None else len(self.teachers)
        for name, why in method_named(self.method).without_effect(values, count):
            yield (name,), why
            if name == "noise":
                yield (READING,), why
        if not method_named(self.method).has_teachers:
            return
        for index, teacher in enumerate(self.teachers or ()):
            yield from within("teachers", within(index, teacher.without_effect()))

    @model_validator(mode="after")
    def _settings_of_the_method(self) -> Self:
        check_method(self.method, settings_of(self), self.combine or ())
        if self.weight_decay is not None and "weight_decay" in (self.train or {}):
            raise ValueError("weight_decay: given twice, here and in `train`")
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
        None, description="equal: its training settings are searched too, with the same budget as the arms"
    )
