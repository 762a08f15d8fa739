"""`seeds`: a list, or as many as it takes until every arm is decided.

Knows nothing of when a study looks at its results; that follows from the two numbers (`study.planning.rounds`).
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from study.values import Model, Seed

FEWEST = 3
"""With fewer seeds an arm has no verdict."""


class SeedsUntilDecided(Model):
    """Seeds 0, 1, 2, … in rounds, until every arm is decided."""

    first: int = Field(3, ge=FEWEST, le=1000, description="seeds of the first round")
    at_most: int = Field(20, ge=FEWEST + 1, le=1000, description="seeds of the last round")
    until: Literal["decided"] = Field(description="every arm is trained until its verdict is known")

    @model_validator(mode="after")
    def _has_two_rounds(self) -> Self:
        if self.first >= self.at_most:
            raise ValueError(
                f"first is {self.first} and at_most {self.at_most}; expected at_most above first; for a fixed "
                "number of seeds, give a list"
            )
        return self


def _kind(value: object) -> str:
    return "rounds" if isinstance(value, Mapping | SeedsUntilDecided) else "fixed"


Seeds = Annotated[
    Annotated[Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000)], Tag("fixed")]
    | Annotated[SeedsUntilDecided, Tag("rounds")],
    Discriminator(_kind),
]
"""The seeds of a study: a list, or seeds until every arm is decided."""

NumberOfSeeds = Annotated[
    Annotated[Annotated[int, Field(ge=1, le=1000)], Tag("fixed")] | Annotated[SeedsUntilDecided, Tag("rounds")],
    Discriminator(_kind),
]
"""The number of seeds of a confirmation: a number, or until every point is decided."""
