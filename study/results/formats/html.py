"""A table as a whole HTML page, and as a part of one."""

import html
import re

from study.results.columns import Column, for_people, subtitle, title
from study.results.rows import Table

_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.25em .6em;border-bottom:1px solid #ccc;text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
)


def write(table: Table) -> str:
    """Write a table as an HTML page. Names from the tracking server are escaped."""
    heading = html.escape(title(table))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{heading}</h1>\n{fragment(table)}</body>\n</html>\n"
    )


def fragment(table: Table) -> str:
    """Subtitle, table and notes for the body of a page. Numbers have the class `n`."""

    def cell(tag: str, column: Column, text: str) -> str:
        number = ' class="n"' if column.numeric else ""
        return f"<{tag}{number}>{html.escape(text)}</{tag}>"

    shown = for_people(table)
    lines: list[str] = []
    if table.rows:
        head = "".join(cell("th", column, column.heading) for column in shown)
        body = ("".join(cell("td", column, column.cell(row)) for column in shown) for row in table.rows)
        lines = [
            f"<p>{html.escape(subtitle(table))}</p>",
            "<table>",
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *(f"<tr>{row}</tr>" for row in body),
            "</tbody>",
            "</table>",
        ]
    lines += ["<ul>", *(f"<li>{_note(note)}</li>" for note in table.notes), "</ul>"]
    return "\n".join(lines) + "\n"


def _note(note: str) -> str:
    """Names and keys in a note are in backticks, as on a terminal; a page has a font for them."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(note))
