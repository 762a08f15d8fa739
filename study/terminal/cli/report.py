"""`report`: tables and figures as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from study.lookup import tracking_uri_of
from study.terminal.cli.options import NameArgument
from study.terminal.cli.output import errors


def report(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option("--out", help="the folder to write to; without it, NAME-report")] = None,
) -> None:
    """Write verdict, table and figures as one HTML page, and log it with the study's run.

    Example: noisy-study report quickstart --out page
    """
    from study.results.report import default_folder, write_report

    written = write_report(tracking_uri_of(name), name, out or default_folder(name))
    lines = [f"wrote {written.page}, and the figures beside it"]
    if written.not_logged is not None:
        lines.append(f"it could not be logged to the study's run: {written.not_logged}")
    for line in lines:
        errors.print(line, soft_wrap=True)
