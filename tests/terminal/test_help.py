"""What `--help` says: a summary for each command, and an example that the command can parse."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from study.terminal.cli import COMMANDS, app

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))


@pytest.mark.parametrize(("name", "function"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_command_has_a_summary_and_an_example(name: str, function: Callable[..., None]) -> None:
    summary, *rest = (function.__doc__ or "").strip().split("\n\n")
    assert "\n" not in summary
    assert summary.endswith(".")
    (example,) = [text.strip() for text in rest if text.strip().startswith("Example: ")]
    program, command, *words = shlex.split(example.removeprefix("Example: "))
    assert (program, command) == ("noisy-study", name)
    known = typer.main.get_group(app).commands[name]
    context = known.make_context(name, words)  # parses and converts, and does not run it
    assert context.args == []


def test_help_shows_the_example_of_a_command() -> None:
    printed = subprocess.run([NOISY_STUDY, "power", "--help"], capture_output=True, text=True, check=True).stdout
    assert "Example: noisy-study power quickstart --effect 5" in re.sub(r"\s+", " ", printed)


def test_help_names_the_first_command_to_try() -> None:
    printed = subprocess.run([NOISY_STUDY, "--help"], capture_output=True, text=True, check=True).stdout
    assert "Begin with `noisy-study run quickstart`." in re.sub(r"\s+", " ", printed)
    assert "Example:" not in printed  # a list of summaries has no room for examples
