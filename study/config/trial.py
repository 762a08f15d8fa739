"""One training: everything that determines it on given images."""

from typing import Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from study.config.methods import DEFAULT_COMBINATION, METHOD_SETTINGS, Combination, Method, NoiseKind
from study.config.teachers import TeacherConfig
from study.config.training import TrainConfig
from study.stages import Stage
from study.values import (
    DropProbability,
    Model,
    NetworkReference,
    Seed,
    Share,
    Sigma,
    Uniform,
)

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
