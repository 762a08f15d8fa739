"""`teachers` and `student`: the networks of a study."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    ValidationInfo,
    model_validator,
)

from models.own_code import is_own
from study.config.methods import READING, MethodName, TeacherSettings, check_method, settings_of, with_own_settings
from study.config.training import Idle, TrainConfig, within
from study.methods import METHOD_SETTINGS, method_named
from study.methods.base import DEFAULT_COMBINATION, Combination
from study.values import (
    MAX_SEED,
    FilePath,
    Model,
    NetworkReference,
    Seed,
)

MAX_TEACHERS = 100
"""The most teachers of one student, including the teachers of its teachers."""

LOGITS_OF = "logits of "
"""How the name of a teacher begins whose network is not known; the name of its file follows."""

_SEEDS_APART = 1_000_003
"""Between the seeds of two teachers that differ in their seed alone, where each seed of a study trains its teachers."""


class TeacherConfig(TeacherSettings):
    """A network to learn from: trained here, read from a file of weights, or known by its logits alone.

    It learns from the labels, or from teachers of its own. Then it is a teacher assistant (Mirzadeh et al. 2020), by
    default with the soft-target loss. Assistants of assistants make a chain.
    """

    network: NetworkReference = Field(
        description="a name of the zoo, a line of notation, or your own code; optional with `logits`"
    )
    weights: FilePath | None = Field(
        None, description="a .safetensors, .pt or .pth file, or torchvision:ENUM.NAME; the teacher is then not trained"
    )
    strict: StrictBool = Field(
        True,
        description="with `weights`. true: the file has exactly the tensors of the network; false: others are ignored",
    )
    logits: FilePath | None = Field(
        None, description="a .npz or .safetensors file with the teacher's logits, if you do not have its network"
    )
    train: TrainConfig = TrainConfig()
    seed: Seed = 0
    teachers: (
        Annotated[tuple["TeacherConfig", ...], Field(min_length=1, max_length=MAX_TEACHERS, fail_fast=True)] | None
    ) = Field(None, description="its own teachers; without them it learns from the labels")
    method: MethodName | None = Field(
        None, description="how it learns from its own teachers (soft_targets); its settings are those of an arm"
    )
    combine: Combination | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _defaults_of_an_assistant(
        cls, value: Any, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        value = with_own_settings(value, cls, info)
        if isinstance(value, Mapping) and isinstance(value.get("logits"), str) and value.get("network") is None:
            teacher = validate({**value, "network": LOGITS_OF + PurePath(value["logits"]).name})
            teacher.model_fields_set.discard("network")
            return teacher
        if not isinstance(value, Mapping) or value.get("teachers") is None:
            return validate(value)
        given = {key: setting for key, setting in value.items() if setting is not None}
        defaults: dict[str, Any] = {"method": "soft_targets", "combine": DEFAULT_COMBINATION}
        method = given.get("method", "soft_targets")
        if isinstance(method, str) and (method in METHOD_SETTINGS or is_own(method)):
            defaults |= method_named(method).completed(given)
            if READING in given:  # the reading gives the noise
                defaults.pop("noise", None)
        teacher = validate({**defaults, **given})
        teacher.model_fields_set.difference_update(defaults.keys() - given.keys())
        return teacher

    @model_validator(mode="after")
    def _is_one_training(self) -> Self:
        settings = settings_of(self)
        if self.weights is not None and self.logits is not None:
            raise ValueError("give `weights` or `logits`, not both")
        if self.teachers is None:
            for name, value in {"method": self.method, "combine": self.combine, **settings}.items():
                if value is not None:
                    raise ValueError(f"`{name}` needs a teacher with `teachers` of its own, and this teacher has none")
            return self
        if self.file is not None:
            raise ValueError(f"a teacher that is read from `{self.file}` is not trained, so it takes no `teachers`")
        if self.method is None or not method_named(self.method).has_teachers:
            raise ValueError("method: a teacher with `teachers` of its own cannot learn from labels")
        check_method(self.method, settings, (self.combine,) if self.combine else ())
        if self.count > MAX_TEACHERS:
            raise ValueError(f"teachers: {self.count} of them in one chain; expected at most {MAX_TEACHERS}")
        return self

    @property
    def count(self) -> int:
        """The number of its trainings: its own, and those of its teachers."""
        return 1 + sum(teacher.count for teacher in self.teachers or ())

    @property
    def file(self) -> Literal["weights", "logits"] | None:
        """The key with the file that it is read from; None if it is trained here."""
        return "weights" if self.weights is not None else "logits" if self.logits is not None else None

    @property
    def read_from(self) -> Literal["weights", "logits"] | None:
        """The same for it and its own teachers: the first that is read from a file."""
        return self.file or next(filter(None, (teacher.read_from for teacher in self.teachers or ())), None)

    def of_seed(self, seed: int) -> Self:
        """The same teacher as a seed of the study trains it, with its own teachers (`vary: [student, teacher]`).

        A teacher whose `seed` is 0, the default, is trained with the study's seed. Another `seed` moves it, so that
        two teachers that differ in their seed alone stay different.
        """
        own = None if self.teachers is None else tuple(teacher.of_seed(seed) for teacher in self.teachers)
        moved = (seed + _SEEDS_APART * self.seed) % (MAX_SEED + 1)
        return self.model_copy(update={"seed": moved, "teachers": own})

    def without_effect(self) -> Idle:
        """Settings that neither its training nor the training of its own teachers uses."""
        if self.weights is None:
            yield ("strict",), "without `weights`"
        if self.file is not None:
            for name in ("train", "seed"):
                yield (name,), f"for a teacher that is read from `{self.file}`"
            return
        yield from within("train", self.train.without_effect())
        if self.teachers is None:
            return
        given = {"combine": self.combine, **settings_of(self)}
        values = {name: None if value is None else (value,) for name, value in given.items()}
        assert self.method is not None, "with teachers of its own it has a method"
        for name, why in method_named(self.method).without_effect(values, len(self.teachers)):
            yield (name,), why
            if name == "noise":
                yield (READING,), why
        for index, teacher in enumerate(self.teachers):
            yield from within("teachers", within(index, teacher.without_effect()))


class StudentConfig(Model):
    """The network that learns from the teachers."""

    network: NetworkReference
