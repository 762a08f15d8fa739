"""`resources`: what a trial may use of a machine."""

from typing import Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from study.values import (
    Model,
)


class ResourcesConfig(Model):
    """What a trial may use. It has one thread for each of its CPUs."""

    workers: int | Literal["auto"] = Field("auto", description="trials at once; auto: as many as fit")
    cpus_per_trial: int = Field(1, ge=1, le=1024)
    gpus_per_trial: float = Field(0, ge=0, le=64)
    students_per_gpu: int = Field(
        1,
        ge=1,
        le=1024,
        description="students that one process trains side by side; the process has gpus_per_trial and cpus_per_trial",
    )

    @model_validator(mode="after")
    def _at_least_one_worker(self) -> Self:
        if self.workers != "auto" and self.workers < 1:
            raise ValueError(f"workers is auto or at least 1, not {self.workers}")
        return self

    @model_validator(mode="after")
    def _side_by_side_on_one_gpu(self) -> Self:
        if self.students_per_gpu > 1 and self.gpus_per_trial > 1:
            raise ValueError(
                f"students_per_gpu: students train side by side on one GPU, but gpus_per_trial is "
                f"{self.gpus_per_trial:g}; set it to 1"
            )
        return self

    @model_validator(mode="after")
    def _share_of_a_gpu_or_whole_gpus(self) -> Self:
        if self.gpus_per_trial > 1 and self.gpus_per_trial != int(self.gpus_per_trial):
            raise ValueError(f"gpus_per_trial is a share of one GPU or a whole number, not {self.gpus_per_trial:g}")
        return self
