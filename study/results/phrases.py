"""Words that notes are made of: counts, short lists, percentages."""

from collections.abc import Sequence

_NAMED = 5


def some(items: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    shown = ", ".join(items[:_NAMED])
    return shown if len(items) <= _NAMED else f"{shown} and {len(items) - _NAMED} more"


def count(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def percent(value: float | None) -> str:
    """Per cent with two places."""
    return "nothing" if value is None else f"{value:.2f} %"
