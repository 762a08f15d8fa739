"""One training: everything that determines it on given images."""

from typing import Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from models.own_code import is_own
from study.config.methods import MethodName, TrialSettings, setting_of, settings_of
from study.config.teachers import LOGITS_OF, TeacherConfig
from study.config.training import TrainConfig
from study.methods import SETTINGS, Method, method_named
from study.methods.base import DEFAULT_COMBINATION, Combination, largest_sigma
from study.noise.settings import Noise
from study.stages import SEARCH, TEACHER, Stage
from study.values import (
    DropProbability,
    NetworkReference,
    Seed,
)

Role = Literal["teacher", "baseline", "arm"]
Outcome = Literal["completed", "pruned", "diverged", "failed"]


class TrialConfig(TrialSettings):
    """Everything that determines one training on given images: a student's, or (stage `teacher`) a teacher's."""

    stage: Stage
    role: Role
    network: NetworkReference
    method: MethodName
    teachers: tuple[TeacherConfig, ...] = ()
    weights: str | None = Field(None, description="a file of weights; then nothing is trained (teachers only)")
    strict: bool = Field(True, description="whether the file of weights must have exactly the network's tensors")
    logits: str | None = Field(None, description="a file of logits; then there are no weights (teachers only)")
    combine: Combination = DEFAULT_COMBINATION
    dropout: DropProbability = 0.0
    train: TrainConfig
    seed: Seed
    teacher_seed: Seed | None = Field(None, description="trains its teachers; absent: they have seeds of their own")

    @model_validator(mode="after")
    def _settings_of_the_method(self) -> Self:
        method = method_named(self.method)
        for name, (_, _, absent) in SETTINGS.items():
            value, field = getattr(self, name), method.model_fields.get(name)
            if field is None and value != absent:
                raise ValueError(f"{self.method} has no `{name}`")
            if field is not None and value is None and (field.is_required() or field.default is not None):
                raise ValueError(f"{self.method} needs `{name}`")
        if self.settings and not is_own(self.method):
            raise ValueError(f"{self.method} has no `{min(self.settings)}`")
        for name, field in method.model_fields.items():
            if field.is_required() and setting_of(self, name) is None:
                raise ValueError(f"{self.method} needs `{name}`")
        if self.combine == "mean_distribution" and not method.takes_distributions:
            raise ValueError(f"{self.method} does not learn from a mean distribution")
        return self

    @property
    def taught_by(self) -> tuple[TeacherConfig, ...]:
        """Its teachers as they are trained: with the seed that it brings, or with seeds of their own."""
        if self.teacher_seed is None:
            return self.teachers
        return tuple(teacher.of_seed(self.teacher_seed) for teacher in self.teachers)

    @property
    def is_given(self) -> bool:
        """Whether it is read from a file and not trained."""
        return self.weights is not None or self.logits is not None

    @property
    def has_network(self) -> bool:
        """Whether its network is known. That of a teacher by its logits need not be."""
        return self.logits is None or not self.network.startswith(LOGITS_OF)

    @property
    def sees_test_set(self) -> bool:
        """Whether the test error is measured. Trials of a search have only a validation error."""
        return self.stage != SEARCH

    @property
    def has_noise(self) -> bool:
        """Whether any logit is perturbed. With α = 0 or σ = 0 no logit is, unless the form of the noise is `scaled`."""
        noise: Noise = self.noise
        return not noise.of_form.vanishes or (largest_sigma(self.sigma) > 0 and bool(self.alpha > 0))

    @property
    def learns(self) -> Method:
        """The method with the settings of this training."""
        method = method_named(self.method)
        return method.model_validate({**{name: getattr(self, name) for name in _ours(method)}, **self.settings})


def _ours(method: type[Method]) -> list[str]:
    """The settings of a method that have a field of their own in a training."""
    return [name for name in method.model_fields if name in SETTINGS]


def teacher_trial(teacher: TeacherConfig) -> TrialConfig:
    """The training of one teacher: from labels, or from teachers of its own."""
    method = teacher.method or "labels"
    return TrialConfig(
        stage=TEACHER,
        role="teacher",
        network=teacher.network,
        weights=teacher.weights,
        strict=teacher.strict,
        logits=teacher.logits,
        method=method,
        teachers=teacher.teachers or (),
        combine=teacher.combine or DEFAULT_COMBINATION,
        **method_named(method).completed(settings_of(teacher)),
        train=teacher.train,
        seed=teacher.seed,
    )
