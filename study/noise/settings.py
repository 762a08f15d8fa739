"""The settings of the noise, and the readings of the paper that are points of them.

Works on values of a study file. Knows nothing of tensors, and loads no PyTorch.
"""

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from models.own_code import is_own
from study.noise import FORMS, form_named
from study.noise.form import Form
from study.values import Model, as_seen_from_here, shown

if TYPE_CHECKING:
    FormName = str
else:

    def _own_or_ours(value: object, validated: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        """A reference to a file beside the study file stays a reference; the file is not imported here."""
        return as_seen_from_here(value, info) if isinstance(value, str) and is_own(value) else validated(value)

    FormName = Annotated[Literal[tuple(form.name for form in FORMS)], WrapValidator(_own_or_ours), PlainSerializer(str)]


class Noise(Model):
    """How noise is drawn and applied. σ and α say how much of it there is.

    The defaults are equation 2 of Sau & Balasubramanian, arXiv:1610.09650.
    """

    form: FormName = Field(
        FORMS[0].name,
        description="how ξ changes the logits z: multiplicative z(1 + ξ), additive z + ξ, scaled z·ξ, or your "
        "own form: `FILE.py:NAME` or `package.module:NAME`",
    )
    across: Literal["classes", "shared"] = Field(
        "classes", description="one ξ for each class, or one ξ that all classes of a sample share"
    )
    per: Literal["sample", "batch", "image"] = Field(
        "sample",
        description="sample: a new draw for every sample of every mini-batch; batch: one for a mini-batch; image: one "
        "for a training image, for the whole training",
    )
    select: Literal["sample", "batch"] = Field(
        "sample", description="sample: each sample is selected with probability α; batch: the whole mini-batch is"
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="constant: σ does not change; linear, cosine: it falls to 0 over the planned epochs"
    )

    @model_validator(mode="after")
    def _has_mini_batches(self) -> Self:
        if self.select == "batch" and self.per == "image":
            raise ValueError(
                "`select: batch` with `per: image`: noise that is drawn once for an image has no mini-batch; "
                "take `select: sample`"
            )
        return self

    @property
    def of_form(self) -> type[Form]:
        """The form itself. Code of the user is imported.

        Raises:
            ValueError: it cannot be imported, or is no form.
        """
        return form_named(self.form)

    @property
    def changes(self) -> dict[str, str]:
        """The settings that are not their defaults."""
        return {name: value for name, value in self if value != type(self).model_fields[name].default}


FORMER_WORDS: Mapping[str, Noise] = MappingProxyType({"fresh": Noise(), "frozen": Noise(per="image")})
"""What `noise: fresh` and `noise: frozen` mean. Study files may use these words until 1.0."""


def _from_former_word(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in FORMER_WORDS:
        raise ValueError(
            f"expected a mapping of {', '.join(Noise.model_fields)}, not {shown(value)}; `reading` takes the name of a "
            "reading"
        )
    return FORMER_WORDS[value]


NoiseSetting = Annotated[Noise, BeforeValidator(_from_former_word)]
"""`Noise` as a study file may write it: a mapping, or one of the former words."""


READINGS: Mapping[str, Noise] = MappingProxyType(
    {
        "equation_2": Noise(),
        "section_4_1": Noise(form="additive"),
        "algorithm_1": Noise(per="batch"),
        "section_5_2": Noise(per="image"),
        "section_5_2_additive": Noise(form="additive", per="image"),
        "chan_2016": Noise(form="additive", across="shared"),
        "chan_2017": Noise(form="scaled", across="shared"),
        "kd_lib": Noise(select="batch"),
    }
)
"""The readings of the paper by name (docs/method.md says who reads it so)."""

if TYPE_CHECKING:
    ReadingName = str
else:
    ReadingName = Literal[tuple(READINGS)]


def reading_of(noise: Noise) -> str | None:
    """The name of the reading that has exactly these settings; None where no source has them."""
    return next((name for name, settings in READINGS.items() if settings == noise), None)


def noise_words(noise: Noise) -> list[str]:
    """What noise is, in words: nothing for the default; a reading's name; the settings that are not their defaults."""
    if not noise.changes:
        return []
    schedule = [] if noise.schedule == "constant" else [f"{noise.schedule} σ"]
    without = noise.model_copy(update={"schedule": "constant"})
    if not without.changes:
        return schedule
    if (name := reading_of(without)) is not None:
        return [name, *schedule]
    own = [f"{name} {value}" if name in ("per", "select") else value for name, value in without.changes.items()]
    return [*own, *schedule]


def noise_label(noise: Noise) -> str:
    """`noise_words` as one label; the default is `fresh` and one draw per image `frozen`, as in older runs."""
    former = {settings: word for word, settings in FORMER_WORDS.items()}
    return former.get(noise) or ", ".join(noise_words(noise))


def written_out(noise: object) -> object:
    """A value of the key `noise` with lists of values inside of it as the list of all their combinations."""
    if isinstance(noise, list | tuple):
        spread = [written_out(one) for one in noise]
        return [one for part in spread for one in (part if isinstance(part, list) else [part])]
    if not isinstance(noise, Mapping) or not any(isinstance(value, list | tuple) for value in noise.values()):
        return noise
    grids: dict[Any, Any] = {
        name: value if isinstance(value, list | tuple) else [value] for name, value in noise.items()
    }
    return [dict(zip(grids, values, strict=True)) for values in product(*grids.values())]
