"""All pictures of a study: each where the study has the data for it.

Works on a study as it was read off the tracking server, its table, and a function that reads metric histories. Knows
nothing of pages and files.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from search_spaces.published import TABLES
from study.results import frames
from study.results.figures import compression, curves, durations, gap, importance, sweep, trial_map
from study.results.figures.chosen import ByValidation
from study.results.figures.style import Picture, Sketch
from study.results.read import TrackedStudy
from study.results.rows import Table
from study.results.words import plain, some
from study.tracking import schema

MAX_STUDENTS = 4
"""Of how many students there are pictures of their own."""


@dataclass(frozen=True)
class Pictures:
    """The pictures in the order of a page, and what was left out, in one sentence each."""

    pictures: tuple[Picture, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Sketches:
    """The same before anything is drawn."""

    sketches: tuple[Sketch, ...]
    left_out: tuple[str, ...]

    def finish(self) -> Pictures:
        """Draw them all."""
        return Pictures(tuple(sketch.finish() for sketch in self.sketches), self.left_out)


def sketches_of(
    tracked: TrackedStudy, table: Table, by_validation: ByValidation, read_histories: curves.ReadHistories
) -> Sketches:
    """Everything that a study has the data for.

    Args:
        tracked: the study.
        table: its table.
        by_validation: the validation errors of the table's rows.
        read_histories: called at most once, with the runs whose learning curves are to be drawn.

    Raises:
        UserError: the tracking server does not answer.
    """
    students = _students(tracked, table)
    shown, skipped = students[:MAX_STUDENTS], students[MAX_STUDENTS:]
    several = len(students) > 1
    published = TABLES.get(tracked.params.get(schema.PUBLISHED, ""))
    sketches = [sweep.sketch(found, several, published) for found in sweep.sweeps_of(table) if found.student in shown]
    maps = [found for found in trial_map.maps_of(tracked) if found.student in shown]
    teachers = len({found.teacher for found in maps}) > 1
    sketches += [trial_map.sketch(found, len(maps) > 1, teachers) for found in maps]
    if (costs := compression.compression_of(table, by_validation)) is not None:
        sketches.append(compression.sketch(costs, published))
    if (gaps := gap.gap_of(tracked, table, by_validation)) is not None:
        sketches.append(gap.sketch(gaps))
    if plans := [plan for plan in curves.plans_of(tracked) if plan.student in shown]:
        histories = read_histories([run for plan in plans for run in plan.run_ids], schema.VAL_ERROR)
        drawable = [found for plan in plans if (found := curves.curves_of(plan, histories)) is not None]
        sketches += [curves.sketch(found, several) for found in drawable]
    if (shares := importance.importances_of(tracked)) is not None:
        sketches.append(importance.sketch(shares))
    if (times := durations.durations_of(tracked)) is not None:
        sketches.append(durations.sketch(times))
    left_out = [f"No pictures of their own for the students {some([plain(name) for name in skipped])}."]
    return Sketches(tuple(_named_apart(sketches)), tuple(left_out) if skipped else ())


def _students(tracked: TrackedStudy, table: Table) -> list[str]:
    """Those of the table first, then those that only a search has tried so far."""
    tried = frames.text(tracked.trials, f"params.{schema.STUDENT}").dropna()
    return list(dict.fromkeys([*(row.arm.student for row in table.rows), *map(str, tried)]))


def _named_apart(sketches: Iterable[Sketch]) -> list[Sketch]:
    """Two pictures of a kind get numbers: names of students are a user's text, and no names of files."""
    sketches = list(sketches)
    kinds, seen = Counter(sketch.name for sketch in sketches), Counter[str]()
    named = []
    for sketch in sketches:
        seen[sketch.name] += 1
        number = f"-{seen[sketch.name]}" if kinds[sketch.name] > 1 else ""
        named.append(replace(sketch, name=f"{sketch.name}{number}"))
    return named
