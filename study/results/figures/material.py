"""The data of the figures: a study that was read, its table, and a few facts that all figures need.

Works on values that were read from the tracking server. Knows nothing of drawing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from search_spaces.published import TABLES, PublishedTable
from study.results import frames
from study.results.figures.chosen import ByValidation
from study.results.read import TrackedStudy
from study.results.rows import Table
from study.tracking import schema

MAX_STUDENTS = 4
"""How many students have figures of their own."""

Histories = Mapping[str, "pd.Series[float]"]
ReadHistories = Callable[[Sequence[str], str], Histories]
"""Gives the histories of a metric by run, from run ids and the name of the metric."""


@dataclass(frozen=True)
class Material:
    """Everything that a figure may use.

    Attributes:
        tracked: the study.
        table: its table.
        by_validation: the validation errors of the table's rows.
        read_histories: reads metric histories from the tracking server, with one request for each run.
    """

    tracked: TrackedStudy
    table: Table
    by_validation: ByValidation
    read_histories: ReadHistories

    @cached_property
    def students(self) -> tuple[str, ...]:
        """All students: first those of the table, then those that only a search tried."""
        tried = frames.text(self.tracked.trials, f"params.{schema.STUDENT}").dropna()
        return tuple(dict.fromkeys([*(row.arm.student for row in self.table.rows), *map(str, tried)]))

    @property
    def shown_students(self) -> tuple[str, ...]:
        """The students that have figures of their own."""
        return self.students[:MAX_STUDENTS]

    @property
    def several_students(self) -> bool:
        """Whether the study has several students, so that headings need a student's name."""
        return len(self.students) > 1

    @property
    def published(self) -> PublishedTable | None:
        """The published table that the study file names. None if it names none."""
        return TABLES.get(self.tracked.params.get(schema.PUBLISHED, ""))
