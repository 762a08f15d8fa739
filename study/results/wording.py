"""Words for numbers, names and settings, in notes, figures and the report.

Works on plain values. Names from the tracking server are shortened and made safe to draw. Knows nothing of rows or
matplotlib.
"""

import re
from collections.abc import Iterable, Sequence

from study.results.statistics import Interval

LONGEST_NAME = 40
LONGEST_LABEL = 120
"""The most characters of a teacher's name with the settings in which teachers of that name differ."""


def plain(text: str, limit: int = LONGEST_NAME) -> str:
    """A name from the tracking server in one line: no control characters, and not longer than `limit`."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def file_name(text: str) -> str:
    """A name that is one part of a path on every system."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "study"


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def two_digits(number: float) -> str:
    """Two significant digits, and no exponent for a large number: `0.034`, `7.8`, `140`."""
    return f"{number:.2g}" if abs(number) < 99.5 else f"{number:.0f}"


def seeds_each(numbers: Iterable[int]) -> str:
    """`n = 3 seeds`, `n = 2 to 5 seeds`: how many seeds each point has."""
    known = sorted(set(numbers)) or [0]
    return f"n = {count(known[0], 'seed')}" if len(known) == 1 else f"n = {known[0]} to {known[-1]} seeds"


def lost_words(rows: int) -> str:
    """A caption's sentence about rows without a mean."""
    return f"Left out: {count(rows, 'row')} that lost seeds to trainings that diverged or failed."


def some(items: Sequence[str], shown: int = 5) -> str:
    """The first items of a list, and how many more there are."""
    listed = ", ".join(items[:shown])
    return listed if len(items) <= shown else f"{listed} and {len(items) - shown} more"


def percent(value: float | None) -> str:
    """Per cent with two decimals."""
    return "nothing" if value is None else f"{value:.2f} %"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign. It uses the minus character, and zero has no sign."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return text.lstrip("-")
    return text.replace("-", "−") if value < 0 else f"+{text}"


def sigma_words(sigma: float | Interval) -> str:
    """`σ = 0.5`, or `σ ~ U[0.01, 1]` where it is drawn."""
    return f"σ ~ U[{sigma[0]:g}, {sigma[1]:g}]" if isinstance(sigma, tuple) else f"σ = {sigma:.3g}"


def setting_words(name: str, value: int | float | str | None) -> str:
    """`dropout = 0.5`, or `no dropout` if the parameter is absent."""
    name = plain(name.replace("_", " "))
    if value is None:
        return f"no {name}"
    return f"{name} = {plain(value) if isinstance(value, str) else format(value, '.4g')}"


def method_words(method: str) -> str:
    """`noisy teacher`."""
    return plain(method.replace("_", " "))
