"""A table as plain text that fits the width of a terminal."""

import io
import shutil
import sys
import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from study.results.columns import Column, for_people, subtitle, title
from study.results.rows import Table

PIPED_WIDTH = 180
"""Characters of a line where the output is not a terminal. Each row fits on one line, so that `grep` finds rows."""
MIN_WIDTH = 40
STACKED_WIDTH = 12
"""Words wrap at this width where rows do not fit on one line."""
_DISPENSABLE = ("p", "published improvement", "p corr.", "detectable")
"""Headings of the columns that a narrow terminal leaves out first. Other columns have the same information."""


def write(table: Table, width: int | None = None) -> str:
    """Write a table as plain text.

    Args:
        table: what to write.
        width: characters of a line, at least 40. None: the width of the terminal, or 180 where the output is not a
            terminal.
    """
    width = max(width or _terminal_width(), MIN_WIDTH)
    shown = for_people(table)
    page = io.StringIO()
    console = Console(
        file=page, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False
    )
    for line in filter(None, (title(table), subtitle(table))):
        console.print(Text(line))
    console.print()
    if table.rows:
        console.print(_fitting(table, shown, console))
        console.print()
    for note in table.notes:
        console.print(Text(textwrap.fill(note, width, initial_indent="- ", subsequent_indent="  ")))
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH


def _fitting(table: Table, shown: Sequence[Column], console: Console) -> RenderableType:
    """One line for each row, if that fits.

    Otherwise the cells are stacked, then columns are left out, and at last each row is a paragraph.
    """

    def fits(grid: RichTable) -> bool:
        unbounded = console.options.update(max_width=1_000_000)
        return console.measure(grid, options=unbounded).maximum <= console.width

    if fits(whole := _grid(table, shown, stacked=False)):
        return whole
    for count in range(len(_DISPENSABLE) + 1):
        left_out = [column.heading for column in shown if column.heading in _DISPENSABLE[:count]]
        kept = [column for column in shown if column.heading not in left_out]
        if fits(grid := _grid(table, kept, stacked=True)):
            return Group(grid, Text(f"\nToo wide for this terminal: {', '.join(left_out)}.")) if left_out else grid
    return Text(_paragraphs(table, shown, console.width))


def _grid(table: Table, shown: Sequence[Column], stacked: bool) -> RichTable:
    def wrapped(words: str) -> str:
        return textwrap.fill(words, STACKED_WIDTH, break_long_words=False)

    def cell(text: str, numeric: bool) -> str:
        return text if not stacked else text.replace(" [", "\n[") if numeric else wrapped(text)

    grid = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0 if stacked else (0, 1, 0, 0),
        leading=1 if stacked else 0,
    )
    for column in shown:
        grid.add_column(Text(wrapped(column.heading)), justify="right" if column.numeric else "left", no_wrap=True)
    for row in table.rows:
        # Text, since rich would read "[0.90, 1.04]" in a string as markup.
        grid.add_row(*(Text(cell(column.cell(row), column.numeric)) for column in shown))
    return grid


def _paragraphs(table: Table, shown: Sequence[Column], width: int) -> str:
    paragraphs = (
        ", ".join(f"{column.heading} {cell}" for column in shown if (cell := column.cell(row))) for row in table.rows
    )
    return "\n\n".join(textwrap.fill(row, width, subsequent_indent="  ") for row in paragraphs)
