"""A table as text, Markdown, CSV, JSON, LaTeX or HTML.

Works on `study.results.table.Table` alone. JSON and CSV are for programs: errors are fractions of 1. The others are for
people: per cent, rounded, with the notes below. CSV has rows only: how the baseline was found is a column there, and
what else is said of the table as a whole is in JSON's notes.
"""

import dataclasses
import html
import io
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from study.errors import UserError
from study.results.arms import Setting
from study.results.statistics import Interval
from study.results.table import SIGNIFICANCE, Row, Table
from study.results.verdicts import WORDS

Format = Literal["text", "md", "csv", "json", "latex", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)

_INTERVALS = ("test_error_ci95", "improvement_ci95")

PIPED_WIDTH = 160
"""Room for one line per row, so that what is piped can be searched by line."""
MIN_WIDTH = 40
STACKED_WIDTH = 12
"""Words wrap at this width where rows of one line do not fit."""
_DISPENSABLE = ("p", "published improvement", "p Holm")
"""What a narrow terminal goes without first: the intervals, the published errors and the verdict tell it too."""


@dataclass(frozen=True)
class Column:
    """A column for people: its heading, its cells, and whether they are numbers (and stand on the right)."""

    heading: str
    cell: Callable[[Row], str]
    numeric: bool = True


def render(table: Table, format: str = "text", width: int | None = None) -> str:
    """Write a table.

    Args:
        table: what to write.
        format: one of `FORMATS`.
        width: characters a line of `text` may have, at least 40; None: the terminal's width, or 160 where the output
            is no terminal.

    Returns:
        the text, which ends with a line break.

    Raises:
        UserError: no such format.
    """
    match format:
        case "text":
            return _text(table, max(width or _terminal_width(), MIN_WIDTH))
        case "md":
            return _markdown(table)
        case "csv":
            return _csv(table)
        case "json":
            return json.dumps(table.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        case "latex":
            return _latex(table)
        case "html":
            return _html(table)
        case _:
            raise UserError(f"--format {format}: there is no such format; formats are {', '.join(FORMATS)}")


# ------------------------------------------------------------------------------------------------- for people: cells


def columns(table: Table) -> list[Column]:
    """The columns worth printing: what is the same in all rows is said once, in the subtitle."""
    rows = table.rows
    shown: list[Column | None] = [
        Column("student", lambda row: row.student, numeric=False) if _varies(row.student for row in rows) else None,
        Column("teacher", _teacher, numeric=False) if _varies(map(_teacher, rows)) else None,
        Column("method", _words, numeric=False),
        Column("σ", lambda row: _sigma(row.sigma)) if any(row.sigma is not None for row in rows) else None,
        Column("α", lambda row: _plain(row.alpha)) if any(row.alpha is not None for row in rows) else None,
        Column("noise", lambda row: row.noise or "", numeric=False)
        if _varies(row.noise for row in rows if row.noise)
        else None,
        *(_setting_column(name) for name in table.settings),
        Column("stage", lambda row: row.stage, numeric=False) if any(row.stage != "grid" for row in rows) else None,
        Column("n", lambda row: str(row.n) if row.n == row.n_planned else f"{row.n} of {row.n_planned}"),
        Column("test error %", _error),
        Column("improvement", _improvement),
        Column("p", lambda row: _p(row.p_value)),
        Column("p Holm", lambda row: _p(row.p_corrected)),
        Column("verdict", _verdict, numeric=False),
        *(_speed_columns() if any(row.speed is not None for row in rows) else ()),
        *(_cost_columns() if any(row.cost is not None for row in rows) else ()),
        Column("compression", lambda row: _fixed(row.compression_ratio, 2))
        if _varies(row.compression_ratio for row in rows)
        else None,
    ]
    if any(row.published_error_percent is not None for row in rows):
        shown += [
            Column("published error %", lambda row: _fixed(row.published_error_percent, 2)),
            Column("published improvement", lambda row: _signed(row.published_improvement_percent)),
        ]
    return [column for column in shown if column is not None]


def subtitle(table: Table) -> str:
    """What all rows have in common; empty for a table without rows."""
    if not table.rows:
        return ""
    first, said = table.rows[0], []
    if not _varies(row.student for row in table.rows):
        said.append(f"student {first.student}")
    if not _varies(map(_teacher, table.rows)):
        said.append(f"teacher {first.teacher}")
    noises = sorted({row.noise for row in table.rows if row.noise})
    if len(noises) == 1:
        said.append(f"{noises[0]} noise")
    if first.compression_ratio is not None and not _varies(row.compression_ratio for row in table.rows):
        said.append(f"compression ratio {first.compression_ratio:.2f}")
    return ", ".join(said)


def title(table: Table) -> str:
    """The table's heading."""
    return f"{table.study}: improvement over the baseline"


def _setting_column(name: str) -> Column:
    # A column of its own function: a lambda in a loop would see the last name only.
    return Column(name, lambda row: _plain(row.settings[name]))


def _speed_columns() -> tuple[Column, Column]:
    def epochs(row: Row) -> str:
        if row.speed is None:
            return ""
        reached = "" if row.speed.reached == row.n else f" ({row.speed.reached} of {row.n})"
        return _fixed(row.speed.epochs, 1) + reached

    def seconds(row: Row) -> str:
        return "" if row.speed is None else _fixed(row.speed.seconds, 1)

    return Column("epochs to target", epochs), Column("s to target", seconds)


def _cost_columns() -> tuple[Column, Column]:
    def multiplications(row: Row) -> str:
        return "" if row.cost is None or row.cost.multiplications is None else f"{row.cost.multiplications:,}"

    def front(row: Row) -> str:
        return "*" if row.cost is not None and row.cost.pareto else ""

    return Column("multiplications", multiplications), Column("front", front, numeric=False)


def _varies(values: Iterable[object]) -> bool:
    return len(set(values)) > 1


def _teacher(row: Row) -> str:
    return row.teacher_label or row.teacher


def _words(row: Row) -> str:
    method = row.method.replace("_", " ")
    return f"{method} (baseline)" if row.role == "baseline" else method


def _sigma(sigma: float | Interval | None) -> str:
    return f"U[{sigma[0]:g}, {sigma[1]:g}]" if isinstance(sigma, tuple) else _plain(sigma)


def _plain(value: Setting | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _verdict(row: Row) -> str:
    if row.role == "baseline":
        return WORDS["seeds_lost"] if row.is_lost else ""
    return WORDS[row.verdict]


def _error(row: Row) -> str:
    if row.test_error_mean is None:
        return ""
    text = f"{row.test_error_mean * 100:.2f}"
    if row.test_error_ci95 is not None:
        low, high = row.test_error_ci95
        text += f" [{_fixed(low * 100, 2)}, {_fixed(high * 100, 2)}]"
    return text


def _improvement(row: Row) -> str:
    if row.improvement_percent is None:
        return ""
    text = _signed(row.improvement_percent, unit="")
    if row.improvement_ci95 is not None:
        low, high = row.improvement_ci95
        text += f" [{_fixed(low, 1)}, {_fixed(high, 1)}]"
    return f"{text} %"


def _signed(value: float | None, unit: str = " %") -> str:
    if value is None:
        return ""
    text = _fixed(value, 1)
    return ("+" if value > 0 and text != "0.0" else "") + text + unit


def _fixed(value: float | None, digits: int) -> str:
    """A number with a real minus sign, and no minus before a zero."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _p(value: float | None) -> str:
    if value is None:
        return ""
    if value < 0.001:
        return "<0.001"
    # It may not look as if it were on the other side of what decides the verdict.
    shown, bound = f"{value:.3f}", f"{SIGNIFICANCE:.3f}"
    return f"<{bound}" if value < SIGNIFICANCE and shown == bound else shown


# ----------------------------------------------------------------------------------------------- for people: formats


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH


def _text(table: Table, width: int) -> str:
    shown = columns(table)
    page = io.StringIO()
    console = Console(file=page, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    for line in filter(None, (title(table), subtitle(table))):
        console.print(Text(line))
    console.print()
    if table.rows:
        console.print(_fitting(table, shown, console))
        console.print()
    for note in table.notes:
        console.print(Text(textwrap.fill(note, width, initial_indent="- ", subsequent_indent="  ")))
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _fitting(table: Table, shown: Sequence[Column], console: Console) -> RenderableType:
    """Rows of one line if they fit; else cells stacked; else without columns that others tell too; and where that is
    too wide, a paragraph per row."""

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
    said = (
        ", ".join(f"{column.heading} {cell}" for column in shown if (cell := column.cell(row))) for row in table.rows
    )
    return "\n\n".join(textwrap.fill(row, width, subsequent_indent="  ") for row in said)


def _markdown(table: Table) -> str:
    def cells(values: Sequence[str]) -> str:
        return f"| {' | '.join(values)} |"

    def escape(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text)

    shown = columns(table)
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
    return "\n".join([*lines, *(f"- {escape(note)}" for note in table.notes)]) + "\n"


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


def _latex(table: Table) -> str:
    def escape(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    shown = columns(table)
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


_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.25em .6em;border-bottom:1px solid #ccc;text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
)


def _html(table: Table) -> str:
    heading = html.escape(title(table))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{heading}</h1>\n{html_fragment(table)}</body>\n</html>\n"
    )


def html_fragment(table: Table) -> str:
    """Subtitle, table and notes as they stand in the body of a page; numbers have the class `n`."""

    def cell(tag: str, column: Column, text: str) -> str:
        number = ' class="n"' if column.numeric else ""
        return f"<{tag}{number}>{html.escape(text)}</{tag}>"

    shown = columns(table)
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
    lines += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in table.notes), "</ul>"]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------------ for programs


def frame(table: Table) -> pd.DataFrame:
    """The rows as pandas has them: errors as fractions of 1, an interval as two columns `…_low` and `…_high`.

    `sigma` is a number, or the text `[low, high]` for a uniform draw. `error_seed_0` and so on are the test errors of
    the seeds, one column for every seed of the table, empty where a row has none. The last columns, `baseline_kind` and
    `rule`, are the same in all rows: how the settings of the baseline were found, and the statistical rule.
    """
    seeds = sorted({seed for row in table.rows for seed in row.errors})
    records = []
    for row in table.rows:
        record: dict[str, object] = {}
        for name, value in row.as_json().items():
            if name in _INTERVALS:
                record[f"{name}_low"], record[f"{name}_high"] = value or (None, None)
            elif name == "errors":
                record |= {f"error_seed_{seed}": row.errors.get(seed) for seed in seeds}
            else:
                record[name] = json.dumps(value) if isinstance(value, list) else value
        records.append(record | {"baseline_kind": table.baseline_kind, "rule": table.rule})
    if records:
        return pd.DataFrame.from_records(records)
    names = [
        field.name
        for field in dataclasses.fields(Row)
        if field.name not in ("errors", "settings", "speed", "cost", "teacher_label")
    ]
    columns = [
        column for name in names for column in ((f"{name}_low", f"{name}_high") if name in _INTERVALS else (name,))
    ]
    return pd.DataFrame(columns=[*columns, "baseline_kind", "rule"])


def _csv(table: Table) -> str:
    return frame(table).to_csv(index=False)
