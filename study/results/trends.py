"""The trends of a table: one for each line of arms that differ in σ alone, or in α alone.

Works on rows. The test is in `study.results.trend`.
"""

import math
from collections.abc import Sequence

from study.results.cells import p_text
from study.results.figures.noise_lines import SYMBOLS, Axis, Line, noise_lines_of, strength
from study.results.rows import Row, Table
from study.results.rule import by_seed
from study.results.trend import Trend, trend
from study.results.wording import method_words, plain, setting_words


def trend_of_rows(baseline: Row | None, rows: Sequence[Row], axis: Axis) -> Trend | None:
    """The trend of these rows against their baseline; None where there are too few strengths or common seeds."""
    strengths = [(value, row) for row in rows if (value := strength(row, axis)) > 0]
    if baseline is None or not strengths:
        return None
    errors = by_seed(sorted(baseline.errors), [baseline.errors, *(row.errors for _, row in strengths)])
    return trend(errors[:, 0], errors[:, 1:], [strength for strength, _ in strengths])


def trend_notes(table: Table) -> list[str]:
    """One note for each line that has a trend to test."""
    notes = []
    for shown in noise_lines_of(table):
        for line in shown.lines:
            found = trend_of_rows(shown.baseline, line.rows, shown.axis)
            if found is not None:
                notes.append(f"Trend ({_subject(shown.student, line)}): {trend_words(found, SYMBOLS[shown.axis])}")
    if notes:
        notes.append(
            "A trend is tested separately from the verdicts: a parabola over the logarithm, with seeds as blocks. Its "
            "p is for the hypothesis that the error does not change. It is not corrected together with the verdicts."
        )
    return notes


def trend_words(found: Trend, symbol: str) -> str:
    """p, and the best strength with its interval where it is known."""
    low, high = min(found.strengths), max(found.strengths)
    p = p_text(found.p_flat)
    said = f"p {p if p.startswith('<') else f'= {p}'} for no change of the error from {symbol} = {low:g} to {high:g}"
    if found.best is None or found.best_interval is None:
        return f"{said}; no best {symbol} inside of this range is shown."
    lowest, highest = found.best_interval
    return f"{said}; lowest error at {symbol} = {found.best:.2g}, 95 % interval {lowest:.2g} to {highest:.2g}."


def _subject(student: str, line: Line) -> str:
    words = [plain(student)]
    for name, value in line.traits:
        if value is None or value == "":
            continue
        if name == "method":
            words.append(method_words(str(value)))
        elif isinstance(value, str):
            words.append(plain(value))
        elif math.isfinite(value):
            words.append(setting_words(name, value))
    return ", ".join(words)
