"""The reference of the names on the tracking server, as Markdown, from the module that declares them.

Works on the source of `study.tracking.schema`: a name, its value, and the comment behind it. Knows none of them.
"""

import inspect
import re
from collections.abc import Iterator

from study.tracking import schema

HEADING = re.compile(r"^# (?P<heading>\S.*)$")
NAME = re.compile(r'^(?P<name>[A-Z_]+) = \(?\s*"(?P<value>[^"]*)"\s*(?:# (?P<comment>.*))?$')


def reference() -> str:
    """One table for each group of names, in the order of the module."""
    lines = [
        "# Names on the tracking server",
        "",
        "Every tag, parameter, metric and artifact by its name. [Tracking schema](../tracking-schema.md) says what is "
        "written when, and how rows of a table are made of it.",
        *_lines(re.sub(r"= \(\n +", "= ", inspect.getsource(schema)).splitlines()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _lines(source: list[str]) -> Iterator[str]:
    in_table = False
    for place, line in enumerate(source):
        if (found := NAME.match(line)) is not None:
            if not in_table:
                yield from ("| name | in `study.tracking.schema` | meaning |", "| --- | --- | --- |")
            in_table = True
            yield f"| `{found['value']}` | `{found['name']}` | {_comment(source, place, found['comment'] or '')} |"
        elif (heading := HEADING.match(line)) is not None and not _continues(source, place):
            in_table = False
            title, _, more = heading["heading"].partition(". ")
            title, _, then = title.partition("; ")
            yield from ("", f"## {title.rstrip('.')}", "")
            if then or more:
                text = ". ".join(part.rstrip(".") for part in (then[:1].upper() + then[1:], more) if part)
                yield from (f"{text}.", "")


def _continues(source: list[str], place: int) -> bool:
    """Whether a line of comment belongs to the name above it."""
    return place > 0 and source[place - 1].rstrip().endswith(":") and "#" in source[place - 1]


def _comment(source: list[str], place: int, comment: str) -> str:
    if comment.endswith(":"):
        comment = f"{comment} {source[place + 1].removeprefix('# ')}"
    return comment.replace("|", "\\|")
