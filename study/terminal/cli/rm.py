"""`rm`: remove a study."""

import sys
from typing import Annotated

import typer

from study.errors import UserError
from study.terminal.cli.options import NameArgument
from study.terminal.cli.output import say


def rm(
    name: NameArgument,
    tracked: Annotated[
        bool, typer.Option("--tracked", help="delete its experiment on the tracking server too")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for a confirmation")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="remove it even if the tracking server does not have all of its results")
    ] = False,
) -> None:
    """Remove a study's folder: its journal, checkpoints and weights. Shared teachers stay.

    Example: noisy-study rm short
    """
    from rich.filesize import decimal

    from study.disk import bytes_below
    from study.launch import settings_of
    from study.lookup import find_study
    from study.running.removal import remove

    size = decimal(bytes_below(find_study(name).path))
    what = f"study {name} ({size})" + (" and its tracked runs" if tracked else "")
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"this removes {what}; confirm it with --yes")
        typer.confirm(f"remove {what}?", abort=True, err=True)
    # The record of a study that only its folder is removed of may be damaged.
    remove(name, settings_of(name if tracked else None), tracked=tracked, force=force)
    say(f"removed {what}")
    if not tracked:
        say(f"its runs are still on the tracking server, so a new study needs another name: noisy-study table {name}")
