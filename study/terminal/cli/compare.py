"""`compare`: one table over several studies of the same data."""

from typing import Annotated

import typer

from study.lookup import tracking_uri_of
from study.terminal.cli.table import TableFormat, say_deleted


def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME ...", help="two or more studies of the same data")],
    format: Annotated[TableFormat, typer.Option("--format", help="the format to print")] = TableFormat.text,
) -> None:
    """Print one table over several studies of the same data.

    Example: noisy-study compare quickstart quickstart-search
    """
    from study.results.compare import compared
    from study.results.read import read_study
    from study.results.render import render

    studies = [read_study(tracking_uri_of(name), name) for name in names]
    for study in studies:
        say_deleted(study)
    print(render(compared(studies), format.value))  # noqa: T201 - the table and nothing else
