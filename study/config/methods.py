"""The settings of the methods as keys of the study file: in an arm, of a teacher and in a training.

Works on `study.methods.METHODS`. A method's settings are keys beside the other keys of an arm or a teacher, and not a
mapping of their own. This module names no setting except `noise`. The key `reading` may replace it: the name of a
reading is a short way to write the settings of the noise.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Optional, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from models.own_code import beside, is_own
from study.config.mistakes import one_line
from study.config.training import TrainConfig
from study.methods import METHOD_SETTINGS, SETTINGS, method_named, owners_of, type_of
from study.methods.base import Combination
from study.noise import form_named
from study.noise.settings import READINGS, ReadingName, written_out
from study.values import FOLDER, Grid, Model, nearest

READING = "reading"
_READING_MEANS = "a reading of the paper by name (docs/method.md), instead of `noise`"

OWN = "settings"
_OWN_MEANS = "settings of your own method; they may also be given beside the other keys"
_TRACKED = ("dataset", "teacher", "teacher_key", "multiplications", "parameters")
"""Names of parameters of a run that are no keys of a study file, which a setting of a user cannot have."""

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

    def _own_or_ours(value: object, validated: ValidatorFunctionWrapHandler) -> object:
        return value if isinstance(value, str) and is_own(value) else validated(value)

    MethodName = Annotated[Literal[tuple(METHOD_SETTINGS)], WrapValidator(_own_or_ours), PlainSerializer(str)]

    class _WithOwnMethod(Model):
        """Settings of a method that may be the user's own."""

        lists_are_grids: ClassVar[bool] = False

        @model_validator(mode="wrap")
        @classmethod
        def _of_own_method(cls, value: Any, validated: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
            return validated(with_own_settings(value, cls, info))

    class _ReadingOrNoise(_WithOwnMethod):
        """Settings in which `reading` may replace `noise`."""

        @model_validator(mode="before")
        @classmethod
        def _lists_in_noise(cls, value: Any) -> Any:
            if isinstance(value, Mapping) and isinstance(value.get("noise"), Mapping | list | tuple):
                return {**value, "noise": written_out(value["noise"])}
            return value

        @model_validator(mode="after")
        def _has_its_forms(self) -> Self:
            for noise in self.noise if isinstance(self.noise, tuple) else () if self.noise is None else (self.noise,):
                if is_own(noise.form):
                    form_named(noise.form)
            return self

        @model_validator(mode="after")
        def _one_of_both(self) -> Self:
            if self.reading is None:
                return self
            if self.method is not None and "noise" not in method_named(self.method).model_fields:
                raise ValueError(f"`reading` is not a setting of {self.method}, but of {', '.join(owners_of('noise'))}")
            if self.noise is not None:
                raise ValueError("`reading` and `noise` set the same settings; give only one of them")
            return self

    class _OfMethod(_ReadingOrNoise):
        lists_are_grids: ClassVar[bool] = True
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
        | {READING: (Optional[Grid[ReadingName]], Field(None, description=_READING_MEANS))}  # noqa: UP045
        | {OWN: (Optional[dict[str, Grid[Any]]], Field(None, description=_OWN_MEANS))},  # noqa: UP045
    )
    TeacherSettings = _model(
        "TeacherSettings",
        _ReadingOrNoise,
        {name: (Optional[kind], None) for name, (kind, _, _) in SETTINGS.items()}  # noqa: UP045
        | {READING: (Optional[ReadingName], None)}  # noqa: UP045
        | {OWN: (Optional[dict[str, Any]], Field(None, description=_OWN_MEANS))},  # noqa: UP045
    )
    TrialSettings = _model(
        "TrialSettings",
        _WithOwnMethod,
        {
            name: (Optional[kind] if absent is None else kind, absent)  # noqa: UP045
            for name, (kind, _, absent) in SETTINGS.items()
        }
        | {OWN: (dict[str, Any], {})},
    )


def with_own_settings(value: Any, part: Any, info: ValidationInfo) -> Any:
    """A part of a study file in which the settings of a method of the user are under the key `settings`.

    They may be given beside the other keys, as the settings of our methods are. Each is checked by its declaration.

    Args:
        value: what is validated. It is returned as it is where its method is not the user's own.
        part: the model of the part, an arm, a teacher or a training.
        info: has the folder of the study file.

    Raises:
        ValueError: the method cannot be imported, or a setting of it is wrong; one line.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("method"), str) or not is_own(value["method"]):
        return value
    folder = (info.context or {}).get(FOLDER)
    reference = value["method"] if folder is None else beside(value["method"], folder)
    of = method_named(reference)
    fields = {name: field for name, field in of.model_fields.items() if name not in SETTINGS}
    taken = {*part.model_fields, *TrainConfig.model_fields, *_TRACKED} & fields.keys()
    if taken:
        raise ValueError(f"{reference}: a setting cannot be called `{min(taken)}`, which is another key")
    given = value.get(OWN) or {}
    if not isinstance(given, Mapping):
        return value
    given = {**{name: item for name, item in value.items() if name in fields and item is not None}, **given}
    rest = {name: item for name, item in value.items() if name not in fields}
    for name in given:
        if name not in fields:
            raise ValueError(f"`{name}` is not a setting of {reference}{nearest(name, list(fields))}")
    checked = {name: _checked(name, item, fields[name], part.lists_are_grids) for name, item in given.items()}
    return {**rest, "method": reference, **({OWN: checked} if checked else {})}


def _checked(name: str, value: Any, field: FieldInfo, lists_are_grids: bool) -> Any:
    """The value of a setting of the user's method, or each of a list, as JSON has it."""
    if lists_are_grids and isinstance(value, list | tuple):
        return [_checked(name, one, field, False) for one in value]
    kind: TypeAdapter[Any] = TypeAdapter(type_of(field))
    try:
        return kind.dump_python(kind.validate_python(value), mode="json")
    except ValidationError as error:
        raise ValueError(f"{name}: {one_line(error)}") from None


def setting_of(part: Model, name: str) -> Any:
    """One setting of a teacher's or a training's method, also of a method of the user; None if it is not given."""
    return getattr(part, name) if name in SETTINGS else (getattr(part, OWN) or {}).get(name)


def settings_of(part: Model) -> dict[str, Any]:
    """Every setting of any method in an arm, a teacher or a training. None if it is not given.

    A reading is returned as the `noise` that it names.
    """
    settings = {**{name: getattr(part, name) for name in SETTINGS}, **(getattr(part, OWN) or {})}
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
            owners = owners_of(setting)
            raise ValueError(
                f"`{setting}` is not a setting of {method}" + (f", but of {', '.join(owners)}" if owners else "")
            )
    for setting, field in of.model_fields.items():
        if field.is_required() and given.get(setting) is None:
            raise ValueError(f"{method} needs `{setting}` ({field.description})")
    if combinations and not of.has_teachers:
        raise ValueError(f"`combine` is not a setting of {method}, which has no teachers")
    if "mean_distribution" in combinations and not of.takes_distributions:
        takers = ", ".join(name for name in METHOD_SETTINGS if method_named(name).takes_distributions)
        raise ValueError(
            f"combine: mean_distribution is for {takers}, not for {method}: the logarithm of a distribution equals the "
            "logits only up to a constant"
        )
