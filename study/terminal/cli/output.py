"""Where the commands print: messages on standard error, results on standard output."""

import json
import sys
from typing import Any

from rich.console import Console

from study import environment

errors = Console(stderr=True)


def say(message: str) -> None:
    """Print one line on standard error; nothing if the message is empty."""
    if message:
        errors.print(" ".join(message.split()), highlight=False, markup=False, soft_wrap=True)


def standard_output() -> Console:
    """A console as wide as the terminal. Without a terminal it is so wide that nothing is cut, unless `COLUMNS` gives
    a width."""
    from study.results.formats.text import PIPED_WIDTH

    return Console() if sys.stdout.isatty() or environment.has_terminal_width() else Console(width=PIPED_WIDTH)


def print_json(value: Any) -> None:
    """Print JSON on standard output, and nothing else."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - JSON and nothing else
