"""The reference of the commands, as Markdown, from the command line itself.

Works on typer's command objects. Knows nothing of any single command.
"""

import enum
from collections.abc import Iterator
from typing import Any

from typer.main import get_group

from study.terminal.cli import app

HELP = "-h", "--help"


def reference() -> str:
    """One section for each command, in the order in which `--help` lists them."""
    group = get_group(app)
    lines = [
        "# Commands",
        "",
        "Every command with its arguments and options, as `noisy-study COMMAND --help` prints them. "
        "[Working with studies](../commands.md) shows them in the order of their use.",
        "",
        "| command | |",
        "| --- | --- |",
        *(f"| [`{name}`](#noisy-study-{name}) | {_summary(command)} |" for name, command in group.commands.items()),
        "",
    ]
    for name, command in group.commands.items():
        lines += _section(name, command)
    return "\n".join(lines)


def _summary(command: Any) -> str:
    return str(command.help.split("\n\n")[0])


def _section(name: str, command: Any) -> Iterator[str]:
    summary, example = command.help.split("\n\n")
    usage = " ".join(_in_usage(parameter) for parameter in command.params if _is_argument(parameter))
    yield from (
        f"## noisy-study {name}",
        "",
        summary,
        "",
        "```",
        f"noisy-study {name} {usage} [OPTIONS]".replace("  ", " "),
    )
    yield from ("```", "", f"Example: `{example.removeprefix('Example: ')}`", "")
    rows = [_row(parameter) for parameter in command.params if not parameter.hidden and parameter.name != "help"]
    if rows:
        yield from ("| | values | default | |", "| --- | --- | --- | --- |", *rows, "")


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _in_usage(parameter: Any) -> str:
    word = str(parameter.metavar or parameter.name.upper())
    return word if parameter.required else f"[{word}]"


def _row(parameter: Any) -> str:
    names = [_in_usage(parameter)] if _is_argument(parameter) else [*parameter.opts, *parameter.secondary_opts]
    meaning = " ".join((parameter.help or "").split())
    if parameter.envvar:
        variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar
        meaning += " [" + ", ".join(f"`{variable}`" for variable in variables) + "]"
    cells = (" ".join(f"`{name}`" for name in names), _values(parameter), _default(parameter), meaning.strip())
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(parameter: Any) -> str:
    """What follows the name of an option, in words; nothing for a switch or an argument."""
    if _is_argument(parameter) or getattr(parameter, "is_flag", False):
        return ""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return ", ".join(f"`{one.value}`" for one in kind)
    if parameter.metavar:
        return f"`{parameter.metavar}`"
    words = {int: "a whole number", float: "a number", str: "text"}.get(kind, "a path")
    bounds = [f"at least {parameter.min}"] if parameter.min is not None else []
    bounds += [f"at most {parameter.max}"] if parameter.max is not None else []
    return f"{words} {' and '.join(bounds)}".rstrip()


def _default(parameter: Any) -> str:
    if parameter.required:
        return "**needed**"
    value = getattr(parameter.default, "value", parameter.default)
    return "" if value is None or value is False or value == () else f"`{value}`"
