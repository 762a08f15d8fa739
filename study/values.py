"""Values that a study file may have, and how a message shows them.

Knows nothing of what the values are for.
"""

import difflib
import os
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    WrapSerializer,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from models.own_code import beside, file_beside

MAX_SEED = 2**31 - 1


class Model(BaseModel):
    """Frozen, and strict about keys: a slip of the pen in a study file must not become a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, value: Any, validated: ModelWrapValidatorHandler[Self]) -> Self:
        """Name unknown keys together with the mistakes in the other keys."""
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, Mapping) else []
        if not unknown:
            return validated(value)
        meant = {word for key in unknown if (word := _close(key, cls.model_fields)) is not None}
        found = [InitErrorDetails(type=_unknown(key, cls.model_fields), loc=(), input=key) for key in unknown]
        try:
            validated({key: item for key, item in value.items() if key in cls.model_fields})
        except ValidationError as error:
            # Without the unknown keys, a required key or a whole model may be wrong only for that reason.
            rest = [each for each in error.errors(include_url=False) if each["loc"]]
            rest = [each for each in rest if not (each["type"] == "missing" and each["loc"][0] in meant)]
            found += [_repeated(each) for each in rest]
        raise ValidationError.from_exception_data(cls.__name__, found)


UNKNOWN_KEY = "unknown_key"
"""Type of the pydantic error for an unknown key."""


def _unknown(key: object, known: Mapping[str, Any]) -> PydanticCustomError:
    words = f"unknown key {in_ticks(key)}{nearest(key, known)}"
    return PydanticCustomError(UNKNOWN_KEY, "{words}", {"words": words})


def _repeated(error: ErrorDetails) -> InitErrorDetails:
    """The same error, to raise it together with others."""
    kind: str | PydanticCustomError = error["type"]
    if kind == UNKNOWN_KEY:
        kind = PydanticCustomError(UNKNOWN_KEY, "{words}", error["ctx"])
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))


def _close(word: object, known: Mapping[str, Any] | Sequence[str]) -> str | None:
    close = difflib.get_close_matches(word[:100], known, n=1) if isinstance(word, str) else []
    return close[0] if close else None


def nearest(word: object, known: Mapping[str, Any] | Sequence[str]) -> str:
    """`; did you mean ...?` with the nearest known word, else the list of what is known."""
    close = _close(word, known)
    return f"; did you mean `{close}`?" if close is not None else f"; known: {', '.join(known)}"


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
SigmaUnit = Literal["absolute", "logit_rms"]
"""σ as it is, or in units of the root mean square of the teachers' combined logits."""

DropProbability = Annotated[float, Field(ge=0, lt=1)]
Temperature = Annotated[float, Field(gt=0, le=1000)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
FOLDER = "folder"
"""In the context of a validation: the folder of the study file, or None."""


def as_seen_from_here(reference: str, info: ValidationInfo) -> str:
    """A reference to code beside the study file, with its path from the working folder."""
    folder = (info.context or {}).get(FOLDER)
    return reference if folder is None else beside(reference, folder)


def _file_as_seen_from_here(path: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get(FOLDER)
    return path if folder is None else file_beside(path, folder)


def _data_as_seen_from_here(path: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get(FOLDER)
    if folder is None or not path or path.startswith("~") or os.path.isabs(path) or folder.absolute() == Path.cwd():
        return path
    return file_beside(path, folder, os.path.exists)


DataPath = Annotated[str, AfterValidator(_data_as_seen_from_here)]
"""A file or folder of data. It is looked for beside the study file, then in the working folder and the data folder."""

FilePath = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_file_as_seen_from_here)]
"""A file. It is looked for beside the study file first, then in the working folder."""

NetworkReference = Annotated[
    str,
    AfterValidator(as_seen_from_here),
    Field(
        min_length=1,
        max_length=2000,
        description="a name of the zoo, a line of notation, `torchvision:NAME`, or code of yours: `FILE.py:NAME` or "
        "`package.module:NAME`",
    ),
]


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
