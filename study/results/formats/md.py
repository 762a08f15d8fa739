"""A table as Markdown."""

import re
from collections.abc import Sequence

from study.results.columns import for_people, subtitle, title
from study.results.rows import Table

METHODS = "**Methods.**"
"""How the paragraph about methods begins."""


def write(table: Table) -> str:
    """Write a table as Markdown. Names from the tracking server are escaped."""

    def cells(values: Sequence[str]) -> str:
        return f"| {' | '.join(values)} |"

    def escape(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text)

    shown = for_people(table)
    lines = [f"## {escape(title(table))}", ""]
    if table.rows:
        lines += [
            escape(subtitle(table)),
            "",
            cells([escape(column.heading) for column in shown]),
            cells(["---:" if column.numeric else ":---" for column in shown]),
            *(cells([escape(column.cell(row)) for column in shown]) for row in table.rows),
            "",
        ]
    lines += [f"- {escape(note)}" for note in table.notes]
    if table.rows and table.methods:
        lines += ["", f"{METHODS} {escape(table.methods)}"]
    return "\n".join(lines) + "\n"
