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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also where the tracking server does not have all results")
    ] = False,
) -> None:
    """Remove a study's folder: its journal, checkpoints and weights. Shared teachers stay."""
    from study.disk import in_words
    from study.launch import settings_of
    from study.running.removal import removal_of, remove

    settings = settings_of(name)
    removal = removal_of(name, settings)
    if removal.undelivered and not (force or tracked):
        raise UserError(
            f"the tracking server does not have {removal.undelivered} events of study {name}; send them with "
            f"`noisy-study sync {name}`, or lose them with --force"
        )
    what = f"study {name} ({in_words(removal.bytes)})" + (" and its tracked runs" if tracked else "")
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"this removes {what}; confirm it with --yes")
        typer.confirm(f"remove {what}?", abort=True, err=True)
    remove(name, settings, tracked=tracked)
    say(f"removed {what}")
    if not tracked:
        say(f"its runs are still on the tracking server, so a new study needs another name: noisy-study table {name}")
