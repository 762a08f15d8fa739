"""The command line: one file per command, or per few small commands of one subject. They parse, call and print.

A new command is a function in a file here and a line in `COMMANDS`. Nothing heavy is imported before it is needed: a
command imports Ray, PyTorch, MLflow and Optuna inside its function.

Exit status: 0 done; 1 the study failed; 2 the command or the study file is wrong; 130 interrupted, can be resumed. An
error that a user can cause is one line on standard error; a traceback is a bug.
"""

import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TextIO

import typer

from models.notation import NotationError
from study.errors import Interrupted, StudyFailed, UserError
from study.interrupts import INTERRUPTED, end_at_once
from study.terminal.cli import (
    compare,
    export,
    jobs,
    net,
    power,
    recipes,
    report,
    rm,
    run,
    status,
    sync,
    table,
    trying,
    ui,
    validate,
)
from study.terminal.cli.output import say
from study.terminal.streams import drop_output
from study.tracking.address import bound_requests

COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    ("ls", recipes.list_recipes),
    ("cp", recipes.copy_recipe),
    ("validate", validate.validate),
    ("net", net.net),
    ("try", trying.try_),
    ("run", run.run),
    ("resume", run.resume),
    ("extend", run.extend),
    ("status", status.status),
    ("rm", rm.rm),
    ("sync", sync.sync),
    ("table", table.table),
    ("compare", compare.compare),
    ("report", report.report),
    ("power", power.power),
    ("export", export.export),
    ("submit", jobs.submit),
    ("jobs", jobs.list_jobs),
    ("logs", jobs.logs),
    ("stop", jobs.stop),
    ("ui", ui.ui),
)
"""Every command by its name, in the order in which `--help` lists them."""

PACKAGE = Path(__file__).parents[2]

app = typer.Typer(
    help="Find how much noise in a teacher's logits gives a small student the lowest test error.",
    epilog="Begin with `noisy-study run quickstart`. Each command shows an example: `noisy-study COMMAND --help`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _command in COMMANDS:
    app.command(_name)(_command)


def _print_version(asked: bool) -> None:
    if asked:
        print(version("noisy-teacher-study"))  # noqa: T201 - the version and nothing else
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The options that stand before a command."""


def main() -> None:
    """The entry point: an error that a user can cause becomes one line and an exit status."""
    bound_requests()
    warnings.showwarning = _show_warning
    exit_status = 0
    try:
        exit_status = app(standalone_mode=False) or 0
        sys.stdout.flush()  # an error of the output is noticed here, and not at the end of Python
    except UserError as error:
        exit_status = _ended(str(error), 2)
    except typer.TyperException as error:
        message = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
        exit_status = _ended(f"{message} (see noisy-study --help)" if message else "", 2)
    except NotationError as error:  # a network of the user that was tried before, and cannot be made any more
        exit_status = _ended(f"network {error}", 1)
    except StudyFailed as error:
        exit_status = _ended(str(error), 1)
    except Interrupted as error:
        # Everything is closed already. The normal end of Python takes seconds with these libraries.
        end_at_once(str(error), INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        exit_status = _ended("interrupted", INTERRUPTED)
    except BrokenPipeError:
        drop_output()
    except OSError as error:  # a file or folder that the user named, or the disk that it is on
        exit_status = _ended(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
        if not error.filename:  # it may be the output's, and what is left of it would fail again
            drop_output()
    sys.exit(exit_status)


_show_any_warning = warnings.showwarning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A former word of a study file is one line, without a place in our code. Other warnings are as always."""
    if category is FutureWarning and filename.startswith(str(PACKAGE)):
        say(str(message))
    else:
        _show_any_warning(message, category, filename, lineno, file, line)


def _ended(message: str, exit_status: int) -> int:
    for line in message.split("\n"):
        say(line)
    return exit_status
