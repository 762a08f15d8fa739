"""All figures for which a study has the data.

Works on a study that was read, its table, and a function that reads metric histories. Knows nothing of pages and files.
To add a figure, write one module in this package with a function `sketches`, and add it to `FIGURES`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from study.results.figures import (
    compression,
    curves,
    durations,
    error_over_noise,
    gap,
    importance,
    improvement_map,
    trial_map,
)
from study.results.figures.chosen import ByValidation
from study.results.figures.material import MAX_STUDENTS, Material, ReadHistories
from study.results.figures.style import Picture, Sketch
from study.results.read import TrackedStudy
from study.results.rows import Table
from study.results.wording import plain, some

Figure = Callable[[Material], Sequence[Sketch]]
"""Returns the sketches of one kind of figure. Returns none if the study does not have the data for it."""

FIGURES: tuple[Figure, ...] = (
    error_over_noise.sketches,
    improvement_map.sketches,
    trial_map.sketches,
    compression.sketches,
    gap.sketches,
    curves.sketches,
    importance.sketches,
    durations.sketches,
)
"""In the order of the report."""


@dataclass(frozen=True)
class Pictures:
    """The figures in the order of the page, and one sentence for each thing that was left out."""

    pictures: tuple[Picture, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Sketches:
    """The same, before the figures are drawn."""

    sketches: tuple[Sketch, ...]
    left_out: tuple[str, ...]

    def finish(self) -> Pictures:
        """Draw them all."""
        return Pictures(tuple(sketch.finish() for sketch in self.sketches), self.left_out)


def sketches_of(
    tracked: TrackedStudy, table: Table, by_validation: ByValidation, read_histories: ReadHistories
) -> Sketches:
    """Sketch every figure that the study has the data for.

    Args:
        tracked: the study.
        table: its table.
        by_validation: the validation errors of the table's rows.
        read_histories: called with the runs whose learning curves are drawn.

    Raises:
        UserError: the tracking server does not answer.
    """
    material = Material(tracked, table, by_validation, read_histories)
    sketches = [sketch for figure in FIGURES for sketch in figure(material)]
    left_out: tuple[str, ...] = ()
    if skipped := material.students[MAX_STUDENTS:]:
        left_out = (f"These students have no figures of their own: {some([plain(name) for name in skipped], 4)}.",)
    return Sketches(tuple(_named_apart(sketches)), left_out)


def _named_apart(sketches: Iterable[Sketch]) -> list[Sketch]:
    """Number the figures of one kind. Names of students are text of the user, so they cannot be file names."""
    sketches = list(sketches)
    kinds, seen = Counter(sketch.name for sketch in sketches), Counter[str]()
    named = []
    for sketch in sketches:
        seen[sketch.name] += 1
        number = f"-{seen[sketch.name]}" if kinds[sketch.name] > 1 else ""
        named.append(replace(sketch, name=f"{sketch.name}{number}"))
    return named
