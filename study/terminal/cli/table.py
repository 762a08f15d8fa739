"""`table`: the improvement-over-baseline table."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from study.lookup import tracking_uri_of
from study.terminal.cli.options import NameArgument
from study.terminal.cli.output import say

if TYPE_CHECKING:
    from study.results.read import TrackedStudy


class TableFormat(StrEnum):
    """How a table is written."""

    text = "text"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


def table(
    name: NameArgument,
    format: Annotated[TableFormat, typer.Option("--format", help="the format to print")] = TableFormat.text,
) -> None:
    """Print the table of improvements over the baseline, as text, Markdown, CSV, JSON, LaTeX or HTML.

    Example: noisy-study table quickstart --format md
    """
    from study.results.read import read_study
    from study.results.render import render
    from study.results.table import table_of

    tracked = read_study(tracking_uri_of(name), name)
    say_deleted(tracked)
    print(render(table_of(tracked), format.value))  # noqa: T201 - the table and nothing else


def say_deleted(tracked: "TrackedStudy") -> None:
    """Say which runs of a study are not in its table because somebody deleted them."""
    from study.results.wording import count

    if deleted := tracked.deleted_runs:
        ids = ", ".join(deleted[:3]) + ", ..." * (len(deleted) > 3)
        were, are = ("was", "is") if len(deleted) == 1 else ("were", "are")
        say(
            f"{count(len(deleted), 'run')} of study {tracked.name} {were} deleted on the tracking server and {are} not "
            f"in the table; to restore: mlflow runs restore --run-id RUN_ID ({ids})"
        )
