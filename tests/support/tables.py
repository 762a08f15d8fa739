"""What tests of tables share: fixtures that build a table, and functions that find a row or a note in it.

A pytest plugin, for a module that also names `support.handwritten`. It asserts nothing (PYTEST_DONT_REWRITE: it is
imported before it is a plugin).
"""

from collections.abc import Callable

import pytest

from study.results.rows import Row, Table
from study.results.table import build_table
from support.handwritten import Writer

NewStudy = Callable[..., Writer]
BuildTable = Callable[[Writer], Table]


@pytest.fixture
def table_of(uri: str) -> BuildTable:
    return lambda study: build_table(uri, study.name)


@pytest.fixture(scope="module")
def mnist_table(uri: str, mnist: str) -> Table:
    return build_table(uri, mnist)


def the_row(table: Table, **wanted: object) -> Row:
    """The only row whose own attributes, or those of its arm, have these values."""

    def matches(row: Row) -> bool:
        return all(getattr(row if hasattr(row, name) else row.arm, name) == value for name, value in wanted.items())

    (row,) = filter(matches, table.rows)
    return row


def notes(table: Table, beginning: str) -> list[str]:
    """All notes that begin in this way."""
    return [line for line in table.notes if line.startswith(beginning)]


def the_note(table: Table, beginning: str) -> str:
    """The only note that begins in this way."""
    (found,) = notes(table, beginning)
    return found
