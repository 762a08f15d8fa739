"""`budget`: what a study may cost."""

from typing import Self

from pydantic import Field, model_validator

from study.values import Model


class BudgetConfig(Model):
    """What a study may cost. It stops after a whole round of seeds, and an extension may raise the budget."""

    hours: float | None = Field(
        None, gt=0, le=1_000_000, description="hours of training time, summed over all trainings and all starts"
    )
    trainings: int | None = Field(None, ge=1, description="trainings of students, including the trials of a search")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.hours is None and self.trainings is None:
            raise ValueError("give `hours`, `trainings` or both")
        return self
