"""The methods: how a student learns, one file each.

A new method is a new file with a subclass of `Method`, and a line in `METHODS`. A method of one study is such a class
in a file of the user. The study file, grids, keys, run names, tracked parameters and the trainer read the fields of
these classes.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from models.own_code import is_own
from study.methods.base import Method as Method
from study.methods.base import PerturbedMethod
from study.methods.labels import Labels
from study.methods.logit_regression import LogitRegression
from study.methods.noisy_student import NoisyStudent
from study.methods.noisy_teacher import NoisyTeacher
from study.methods.own import own_method
from study.methods.soft_targets import SoftTargets
from study.values import Model

METHODS: tuple[type[Method], ...] = (LogitRegression, NoisyTeacher, NoisyStudent, SoftTargets, Labels)

METHOD_SETTINGS: Mapping[str, tuple[str, ...]] = {method.name: tuple(method.model_fields) for method in METHODS}
"""The settings of each method. Settings that are not listed may not be given."""

NOISE_SETTINGS: tuple[str, ...] = tuple(PerturbedMethod.model_fields)


def method_named(name: str) -> type[Method]:
    """The method of this name, or of the user's own code.

    Raises:
        ValueError: there is none.
    """
    if is_own(name):
        return _own(name)
    for method in METHODS:
        if method.name == name:
            return method
    raise ValueError(f"method {name}: expected one of {', '.join(METHOD_SETTINGS)}")


def _own(reference: str) -> type[Method]:
    method = own_method(reference)
    for name, field in method.model_fields.items():
        if name in SETTINGS and type_of(field) != SETTINGS[name][0]:
            raise ValueError(f"{reference}: `{name}` is a setting of {', '.join(owners_of(name))} with another type")
    return method


def owners_of(setting: str) -> list[str]:
    """The names of the methods that have a setting."""
    return [name for name, settings in METHOD_SETTINGS.items() if setting in settings]


def type_of(field: FieldInfo) -> Any:
    """The type of a setting with its bounds, and without the None of an optional setting."""
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind):
        kind = Union[tuple(one for one in get_args(kind) if one is not type(None))]  # noqa: UP007 - of a tuple
    for bound in field.metadata:
        kind = Annotated[kind, bound]
    return kind


def _all_settings() -> Iterator[tuple[str, tuple[Any, str, Any]]]:
    """Every setting of any method: its name, and its type, description and value in a trial without it.

    Raises:
        TypeError: two methods give one name to settings of different types.
    """
    for method in METHODS:
        for name, field in method.model_fields.items():
            if "" in (name, method.name):
                raise TypeError(f"method {method.name!r}: a method and a setting need a name")
            owners = owners_of(name)
            for other in owners:
                if type_of(method_named(other).model_fields[name]) != type_of(field):
                    raise TypeError(f"{name} is of one type in {method.name} and of another in {other}")
            if owners[0] == method.name:
                yield name, (type_of(field), _description(name, owners), method.in_a_trial_without.get(name))


def _description(name: str, owners: list[str]) -> str:
    """What a study file's reference says of a setting: which methods have it, its meaning and its default."""
    field = method_named(owners[0]).model_fields[name]
    default = (
        ""
        if field.is_required() or field.default is None or isinstance(field.default, Model)
        else f" ({field.default:g})"
        if isinstance(field.default, float)
        else f" ({field.default})"
    )
    return f"{', '.join(owners)}: {field.description or name}{default}"


SETTINGS: Mapping[str, tuple[Any, str, Any]] = dict(_all_settings())
"""Every setting of any method: its type, its description, and what a trial has whose method lacks it."""
