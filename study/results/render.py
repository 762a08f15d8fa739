"""Writes a table in one of several formats.

Works on `study.results.rows.Table`. To add a format, add a module to `study.results.formats` and one line here.
JSON and CSV are for programs: errors are fractions of 1. The other formats are for people: numbers are per cent and
rounded, and the notes stand below the table.
"""

from collections.abc import Callable

from study.errors import UserError
from study.plain import plain_lines
from study.results.formats import csv, html, json, latex, md, text
from study.results.rows import Table

_WRITERS: dict[str, Callable[[Table], str]] = {
    "text": text.write,
    "md": md.write,
    "csv": csv.write,
    "json": json.write,
    "latex": latex.write,
    "html": html.write,
}
FORMATS = tuple(_WRITERS)


def render(table: Table, format: str = "text", width: int | None = None) -> str:
    """Write a table.

    Args:
        table: what to write.
        format: one of `FORMATS`.
        width: characters of a line of the format `text`, at least 40. None: the width of the terminal, or 180 where the
            output is not a terminal.

    Returns:
        the text, which ends with a line break. It has no control characters, whatever the tracking server has.

    Raises:
        UserError: the format does not exist.
    """
    if format not in _WRITERS:
        raise UserError(f"--format {format}: there is no such format; formats are {', '.join(FORMATS)}")
    written = text.write(table, width) if format == "text" else _WRITERS[format](table)
    return plain_lines(written)
