"""`table`: the improvement-over-baseline table."""

from enum import StrEnum
from typing import Annotated

import typer

from study.lookup import tracking_uri_of
from study.terminal.cli.options import NameArgument


class TableFormat(StrEnum):
    """How a table is written."""

    text = "text"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


def table(name: NameArgument, format: Annotated[TableFormat, typer.Option("--format")] = TableFormat.text) -> None:
    """Print the improvement-over-baseline table, read off the tracking server."""
    from study.results.render import render
    from study.results.table import build_table

    print(render(build_table(tracking_uri_of(name), name), format.value))  # noqa: T201 - the table and nothing else
