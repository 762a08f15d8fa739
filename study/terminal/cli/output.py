"""Where the commands print: messages on standard error, results on standard output."""

import json
import sys
from typing import Any

from rich.console import Console

from study import environment
from study.plain import plain

# Text of others may look like markup: `[/]` would raise an error, and `:boom:` would become a picture.
errors = Console(stderr=True, markup=False, emoji=False, highlight=False)


def say(message: str) -> None:
    """Print one line on standard error; nothing if the message is empty."""
    if message:
        errors.print(plain(" ".join(message.split())), soft_wrap=True)


def standard_output() -> Console:
    """A console as wide as the terminal. Without a terminal it is so wide that nothing is cut, unless `COLUMNS` gives
    a width."""
    from study.results.formats.text import PIPED_WIDTH

    width = None if sys.stdout.isatty() or environment.has_terminal_width() else PIPED_WIDTH
    return Console(width=width, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print JSON on standard output, and nothing else."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - JSON and nothing else
