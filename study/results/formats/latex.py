"""A table as LaTeX."""

from study.results.columns import for_people, subtitle, title
from study.results.rows import Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "−": "$-$",
    "σ": r"$\sigma$",
    "α": r"$\alpha$",
    "τ": r"$\tau$",
    # After a line break of a table LaTeX reads [...] as a length.
    "[": "{[}",
    "]": "{]}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def write(table: Table) -> str:
    """Write a table as a LaTeX `table` environment. Names from the tracking server are escaped."""

    def escape(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    shown = for_people(table)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(title(table))}}}"]
    if table.rows:
        lines += [
            escape(subtitle(table)) + r"\par\medskip",
            rf"\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in shown)}}}",
            r"\hline",
            " & ".join(escape(column.heading) for column in shown) + r" \\",
            r"\hline",
            *(" & ".join(escape(column.cell(row)) for column in shown) + r" \\" for row in table.rows),
            r"\hline",
            r"\end{tabular}",
        ]
    notes = [r"\begin{itemize}", *(rf"\item {escape(note)}" for note in table.notes), r"\end{itemize}"]
    return "\n".join([*lines, *(notes if table.notes else []), r"\end{table}"]) + "\n"
