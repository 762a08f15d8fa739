"""One table over several studies of the same data, corrected over all of its tests.

Works on studies that were read off the tracking server, and on their tables. Knows nothing of trainings or of how a
table is printed. Each arm is compared with the baseline of its own study. What makes the improvements comparable is
that all baselines have the same images, splits and preprocessing: other studies are refused.
"""

from collections.abc import Sequence
from dataclasses import replace

from study.errors import UserError
from study.results.read import TrackedStudy
from study.results.rows import Table
from study.results.table import table_of
from study.results.wording import count, plain
from study.tracking import schema

_PATH = "path"  # of the images: the same images may lie elsewhere


def compared(studies: Sequence[TrackedStudy]) -> Table:
    """The rows of all studies in one table, in the order of the studies.

    The families of all studies share the 5 %: a family with m of all M planned arms has 5 % · m / M.

    Args:
        studies: at least two, of different names.

    Raises:
        UserError: fewer than two studies or one of them twice; they have other data; one has seeds until decided; a
            trial's parameters cannot be read.
    """
    names = [study.name for study in studies]
    if len(names) < 2:
        raise UserError("compare: expected at least two studies")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"compare: {twice[0]} is named twice")
    for study in studies:
        if study.params.get(schema.SEED_ROUNDS) or study.params.get(schema.CONFIRM_ROUNDS):
            raise UserError(
                f"compare: study {study.name} has seeds until decided, so its verdicts are from looks with levels of "
                "their own, which cannot be corrected for other studies; compare studies with fixed seeds"
            )
    for other in studies[1:]:
        _refuse_other_data(studies[0], other)
    tables = [
        table_of(study, [each for place, each in enumerate(studies) if place != own])
        for own, study in enumerate(studies)
    ]
    rows = tuple(replace(row, study=table.study) for table in tables for row in table.rows)
    kinds = dict.fromkeys(table.baseline_kind for table in tables)
    return Table(", ".join(names), "; ".join(kinds), tuple(_notes(tables)), rows)


def _refuse_other_data(first: TrackedStudy, other: TrackedStudy) -> None:
    """Two baselines can be compared if they have the same images, splits and preprocessing.

    Raises:
        UserError: they cannot; says why.
    """
    for study in (first, other):
        if schema.DATA_DIGEST not in study.params:
            raise UserError(
                f"the studies {first.name} and {other.name} cannot be compared: the parent run of {study.name} has no "
                f"parameter `{schema.DATA_DIGEST}`, so it is not known whether they have the same images"
            )
    if first.params[schema.DATA_DIGEST] == other.params[schema.DATA_DIGEST] and not _differences(first, other):
        return
    why = "; ".join(_differences(first, other)) or (
        f"the same data settings give different images (`{schema.DATA_DIGEST}` "
        f"{first.params[schema.DATA_DIGEST][:8]} and {other.params[schema.DATA_DIGEST][:8]})"
    )
    raise UserError(f"the studies {first.name} and {other.name} cannot be compared: {why}")


def _differences(first: TrackedStudy, other: TrackedStudy) -> list[str]:
    """Settings of the data that are not the same; settings that only one of them has are not compared."""
    one, two = ({"name": study.params.get(schema.DATASET), **study.data} for study in (first, other))
    return [
        f"data.{key} is {plain(str(one[key]))} in {first.name} and {plain(str(two[key]))} in {other.name}"
        for key in one
        if key in two and key != _PATH and one[key] != two[key]
    ]


def _notes(tables: Sequence[Table]) -> list[str]:
    """What holds for all studies once, then what holds for one of them with its name."""
    planned = sum(row.arm.role != "baseline" for table in tables for row in table.rows)
    common = [note for note in tables[0].notes if all(note in table.notes for table in tables)]
    return [
        "Each arm is compared with the baseline of its own study. p corrected is for the "
        f"{count(planned, 'arm')} of all {len(tables)} studies.",
        *_baseline_notes(tables),
        *common,
        *(f"{table.study}: {note}" for table in tables for note in table.notes if note not in common),
    ]


def _baseline_notes(tables: Sequence[Table]) -> list[str]:
    """Baselines of one student that are not the same training in all studies."""
    notes = []
    baselines = [(table.study, row.arm) for table in tables for row in table.rows if row.arm.role == "baseline"]
    for student in dict.fromkeys(arm.student for _, arm in baselines):
        found = {study: arm for study, arm in baselines if arm.student == student}
        values: dict[str, set[object]] = {"method": set(), "teacher": set()}
        names = dict.fromkeys(name for arm in found.values() for name, _ in arm.settings)
        for arm in found.values():
            settings = dict(arm.settings)
            values["method"].add(arm.method)
            values["teacher"].add((arm.teacher, arm.teacher_key))
            for name in names:
                values.setdefault(name, set()).add(settings.get(name))
        differing = [name for name, of_name in values.items() if len(of_name) > 1]
        if differing:
            notes.append(
                f"The baselines of the student {plain(student)} differ between the studies in {', '.join(differing)}: "
                "improvements of different studies are relative to different errors."
            )
    return notes
