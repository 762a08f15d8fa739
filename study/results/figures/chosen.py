"""The validation errors of a table's rows, which choose the best arm.

Works on a study and its table. It makes the same table of validation errors, row by row. Knows nothing of figures.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from study.results import frames
from study.results.read import TrackedStudy
from study.results.rows import Row
from study.results.table import table_of
from study.tracking import schema


@dataclass(frozen=True)
class ByValidation:
    """Best validation errors, fractions of 1, of the rows of a table. A row that lost a seed has none."""

    rows: Mapping[Hashable, Row]

    def error(self, row: Row) -> float | None:
        """The row's mean over its seeds. None if it is not known."""
        found = self.rows.get(_identity(row))
        return None if found is None else found.test_error_mean

    def errors(self, row: Row) -> Mapping[int, float]:
        """The row's errors by seed. Empty if the row has no mean."""
        found = self.rows.get(_identity(row))
        return {} if found is None or found.is_lost else found.errors

    def best(self, rows: Iterable[Row]) -> Row | None:
        """The row with the lowest mean, the first one of equal rows. None if no mean is known."""
        known = [(error, row) for row in rows if (error := self.error(row)) is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else None


def by_validation(tracked: TrackedStudy) -> ByValidation:
    """Read the validation errors of a study's rows.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    test, validation = f"metrics.{schema.TEST_ERROR}", f"metrics.{schema.BEST_VAL_ERROR}"
    # A trial that is not in the table of test errors must not be in this table either.
    of_rows = frames.number(tracked.trials, validation).where(frames.number(tracked.trials, test).notna())
    table = table_of(dataclasses.replace(tracked, trials=tracked.trials.assign(**{test: of_rows})))
    return ByValidation({_identity(row): row for row in table.rows})


def _identity(row: Row) -> Hashable:
    """The settings of a row, which are the same in both tables."""
    known = tuple((name, value) for name, value in row.settings.items() if value is not None)
    return row.stage, dataclasses.replace(row.arm, settings=()), known
