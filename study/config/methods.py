"""The settings of the methods as keys of the study file: in an arm, of a teacher and in a training.

Works on `study.methods.METHODS`. A method's settings are keys beside the other keys of an arm or a teacher, and not a
mapping of their own. This module names no setting except `noise`. The key `reading` may replace it: the name of a
reading is a short way to write the settings of the noise.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional, Self

from pydantic import ConfigDict, Field, create_model, model_validator

from study.methods import METHOD_SETTINGS, SETTINGS, method_named, owners_of
from study.methods.base import Combination
from study.noise.settings import READINGS, ReadingName, written_out
from study.values import Grid, Model

READING = "reading"
_READING_MEANS = "a reading of the paper by name (docs/method.md), instead of `noise`"

if TYPE_CHECKING:
    MethodName = str

    class _Settings(Model):
        """Any setting of any method. The names of the settings are known only after the methods are imported."""

        model_config = ConfigDict(extra="allow", frozen=True)

        def __getattr__(self, name: str) -> Any: ...

    class _ArmSettings(_Settings):
        method: MethodName

    ArmSettings = _ArmSettings
    TeacherSettings = _Settings
    TrialSettings = _Settings
else:
    MethodName = Literal[tuple(METHOD_SETTINGS)]

    class _ReadingOrNoise(Model):
        """Settings in which `reading` may replace `noise`."""

        @model_validator(mode="before")
        @classmethod
        def _lists_in_noise(cls, value: Any) -> Any:
            if isinstance(value, Mapping) and isinstance(value.get("noise"), Mapping | list | tuple):
                return {**value, "noise": written_out(value["noise"])}
            return value

        @model_validator(mode="after")
        def _one_of_both(self) -> Self:
            if self.reading is None:
                return self
            if self.method is not None and "noise" not in method_named(self.method).model_fields:
                raise ValueError(f"`reading` is not a setting of {self.method}, but of {', '.join(owners_of('noise'))}")
            if self.noise is not None:
                raise ValueError("`reading` and `noise` set the same thing, so only one of them may be given")
            return self

    class _OfMethod(_ReadingOrNoise):
        method: MethodName

    def _model(name: str, base: type[Model], settings: Mapping[str, tuple[Any, Any]]) -> type[Model]:
        return create_model(name, __base__=base, __module__=__name__, **settings)

    ArmSettings = _model(
        "ArmSettings",
        _OfMethod,
        {
            name: (Optional[Grid[kind]], Field(None, description=means))  # noqa: UP045 - the type is a variable
            for name, (kind, means, _) in SETTINGS.items()
        }
        | {READING: (Optional[Grid[ReadingName]], Field(None, description=_READING_MEANS))},  # noqa: UP045
    )
    TeacherSettings = _model(
        "TeacherSettings",
        _ReadingOrNoise,
        {name: (Optional[kind], None) for name, (kind, _, _) in SETTINGS.items()}  # noqa: UP045
        | {READING: (Optional[ReadingName], None)},  # noqa: UP045
    )
    TrialSettings = _model(
        "TrialSettings",
        Model,
        {
            name: (Optional[kind] if absent is None else kind, absent)  # noqa: UP045
            for name, (kind, _, absent) in SETTINGS.items()
        },
    )


def settings_of(part: Model) -> dict[str, Any]:
    """Every setting of any method in an arm, a teacher or a training. None if it is not given.

    A reading is returned as the `noise` that it names.
    """
    settings = {name: getattr(part, name) for name in SETTINGS}
    reading = getattr(part, READING, None)
    if reading is not None:
        settings["noise"] = READINGS[reading] if isinstance(reading, str) else tuple(READINGS[one] for one in reading)
    return settings


def check_method(method: str, given: Mapping[str, object], combinations: Sequence[Combination]) -> None:
    """Check that a method has these settings (absent ones are None) and can combine teachers in these ways.

    Raises:
        ValueError: a setting is missing, or belongs to another method.
    """
    of = method_named(method)
    for setting, value in given.items():
        if value is not None and setting not in of.model_fields:
            raise ValueError(f"`{setting}` is not a setting of {method}, but of {', '.join(owners_of(setting))}")
    for setting, field in of.model_fields.items():
        if field.is_required() and given[setting] is None:
            raise ValueError(f"{method} needs `{setting}` ({field.description})")
    if combinations and not of.has_teachers:
        raise ValueError(f"`combine` is not a setting of {method}, which has no teachers")
    if "mean_distribution" in combinations and not of.takes_distributions:
        takers = ", ".join(name for name in METHOD_SETTINGS if method_named(name).takes_distributions)
        raise ValueError(
            f"combine: mean_distribution is for {takers}, not for {method}: the logarithm of a distribution equals the "
            "logits only up to a constant"
        )
