"""The labels of teachers: their name, and the settings in which teachers of one name differ.

Works on teacher runs and on the parameters of students. Two teachers that differ in any setting have different keys
(`study.planning.keys`), and the teacher runs have the settings of each key. Knows nothing of tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from study.results.arms import Arm, Setting, is_missing, setting_of
from study.results.read import TrackedStudy
from study.results.wording import count
from study.tracking import schema

# Parameters of a teacher run that are its name, that depend only on its name, or that are the same in the whole study.
_NO_SETTINGS = frozenset(
    {
        schema.TEACHER,
        schema.TEACHER_CHAIN,
        schema.TEACHER_KEY,
        schema.DATASET,
        schema.MULTIPLICATIONS,
        schema.PARAMETERS,
        schema.TEACHER_MULTIPLICATIONS,
        schema.TARGET_ERROR,
    }
)
_SHOWN_OF_A_KEY = 8


@dataclass(frozen=True)
class Taught:
    """The parameters of a student's run about its teachers.

    Attributes:
        teacher: the networks of the teachers, joined by `+`.
        chain: the teachers with their own teachers; None if the run has no such parameter.
        key: the keys of the teachers, joined by `+`; None if the run has no such parameter.
    """

    teacher: str
    chain: str | None
    key: str | None

    @classmethod
    def of(cls, arm: Arm) -> "Taught":
        chain = dict(arm.settings).get(schema.TEACHER_CHAIN)
        return cls(arm.teacher, None if chain is None else str(chain), arm.teacher_key)


def teacher_settings(tracked: TrackedStudy) -> dict[str, dict[str, Setting]]:
    """The settings of every teacher by its key, in the order in which the teacher runs began.

    A teacher that each seed trains anew has several runs. Their seeds differ, so the seed is none of its settings.
    """
    found: dict[str, dict[str, Setting]] = {}
    for run in tracked.teachers.to_dict("records"):
        key = run.get(f"params.{schema.TEACHER_KEY}")
        if not is_missing(key):
            settings = {
                name.removeprefix("params."): setting_of(str(value))
                for name, value in map(_named, run.items())
                if name.startswith("params.") and not is_missing(value)
            }
            known = found.setdefault(str(key), settings)
            if known.get(schema.SEED) != settings.get(schema.SEED):
                known.pop(schema.SEED, None)
    return {
        key: {name: value for name, value in of_key.items() if name not in _NO_SETTINGS}
        for key, of_key in found.items()
    }


def teacher_labels(tracked: TrackedStudy, taught: Iterable[Taught]) -> dict[Taught, str]:
    """Labels for the teachers of these students: `nin`, or `nin (epochs 1)` if there are several teachers of the name.

    Args:
        tracked: the study with its teacher runs.
        taught: the teachers of all students that must be distinguished.
    """
    settings = teacher_settings(tracked)
    groups: dict[tuple[str, str | None], list[Taught]] = {}
    for each in dict.fromkeys(taught):
        groups.setdefault((each.teacher, each.chain), []).append(each)
    labels: dict[Taught, str] = {}
    for (teacher, _), of_name in groups.items():
        names = teacher.split("+")
        parts = {each: _parts(each, len(names)) for each in of_name}
        if any(len(of_each) != len(names) for of_each in parts.values()):
            names, parts = [teacher], {each: [each.key] for each in of_name}
        apart = [
            labels_apart(name, list(dict.fromkeys(of_each[place] for of_each in parts.values())), settings)
            for place, name in enumerate(names)
        ]
        for each, keys in parts.items():
            labels[each] = "+".join(of_place[key] for of_place, key in zip(apart, keys, strict=True))
    return labels


def labels_apart(
    name: str, keys: Sequence[str | None], settings: Mapping[str, Mapping[str, Setting]]
) -> dict[str | None, str]:
    """Teachers of one name by their keys: the name with the settings that are not the same for all of them.

    Args:
        name: the network's name.
        keys: every different key once; None is a teacher whose key is not known.
        settings: the settings of the teachers by their key.
    """
    if len(keys) < 2:
        return dict.fromkeys(keys, name)
    known = {key: settings[key] for key in keys if key is not None and key in settings}
    names = dict.fromkeys(setting for of_key in known.values() for setting in of_key)
    differing = [each for each in names if len({of_key.get(each) for of_key in known.values()}) > 1]
    words = {key: [_words(each, of_key.get(each)) for each in differing] for key, of_key in known.items()}
    labels: dict[str | None, str] = {}
    for key in keys:
        if key is None:
            said = ["key not known"]
        elif not (said := words.get(key, [])) or list(words.values()).count(said) > 1:
            said = [*said, f"key {key[:_SHOWN_OF_A_KEY]}"]
        labels[key] = f"{name} ({', '.join(said)})"
    return labels


def key_notes(arms: Iterable[Arm]) -> list[str]:
    """A note if the runs of some rows do not identify their teacher."""
    rows = sum(arm.teacher_key is None and bool(arm.teacher) for arm in arms)
    if not rows:
        return []
    return [
        f"The runs of {count(rows, 'row')} have no `{schema.TEACHER_KEY}`. If the study had several teachers of one "
        "name, such a row may mix them."
    ]


def _named(item: tuple[object, object]) -> tuple[str, object]:
    return str(item[0]), item[1]


def _parts(taught: Taught, number: int) -> list[str | None]:
    return [None] * number if taught.key is None else [*taught.key.split("+")]


def _words(name: str, value: Setting | None) -> str:
    if value is None:
        return f"no {name}"
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
