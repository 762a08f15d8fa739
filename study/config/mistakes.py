"""Puts a pydantic `ValidationError` into plain lines, one for each mistake.

Knows nothing of what is validated.
"""

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from study.values import UNKNOWN_KEY, shown

MOST_LINES = 20
"""So many mistakes of a study file are named at once."""

IN_PER_CENT = ("smallest_effect",)
"""The keys that are in per cent. All other numbers that people give in per cent are shares from 0 to 1."""


def mistakes(error: ValidationError, document: Any = None) -> list[str]:
    """Every mistake of a validation as one line, `key: what is wrong, not value`, in the order of the keys.

    Args:
        error: what the validation raised.
        document: what was validated, if it is available. Then a single value that was given instead of a list is named
            without a position in the list.

    Returns:
        one line for each key, `MOST_LINES` at most; a last line says how many more there are.
    """
    errors = error.errors(include_url=False)
    # pydantic reports a list with a wrong item as too short as well. That is the same mistake.
    errors = [
        each
        for each in errors
        if each["type"] == UNKNOWN_KEY or not any(_lies_within(other["loc"], each["loc"]) for other in errors)
    ]
    found: dict[tuple[str, str], str] = {}
    for each in errors:  # a value that may be of several types has one error for each of them: the first is named
        where = _key_of(each["loc"], document)
        line = " ".join(f"{where + ': ' if where else ''}{_what(each, where)}".split())
        found.setdefault((where, line if each["type"] == UNKNOWN_KEY else ""), line)
    lines = list(found.values())
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"and {more} more"]


def one_line(error: ValidationError, document: Any = None) -> str:
    """The first of the `mistakes`, and how many more there are."""
    first, *others = mistakes(error, document)
    return f"{first} (and {len(others)} more)" if others else first


def _what(error: ErrorDetails, where: str) -> str:
    """What is wrong with one value."""
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] in _IN_YAML_TERMS:
        what = _IN_YAML_TERMS[error["type"]].format(**error.get("ctx", {}))
        what = re.sub(r"\b(1 item)s\b", r"\1", what)
    if error["type"] in ("value_error", "missing", UNKNOWN_KEY):
        return what
    return f"{what[0].lower()}{what[1:]}, not {shown(error['input'])}{_number_for(error['input'], where)}"


def _number_for(value: Any, where: str) -> str:
    """What to write instead of text such as `15%`; nothing for any other value."""
    percent = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*%\s*", value) if isinstance(value, str) else None
    if percent is None:
        return ""
    number = float(percent[1]) if where.endswith(IN_PER_CENT) else float(percent[1]) / 100
    return f"; write {number:g}"


_IN_YAML_TERMS = {
    "tuple_type": "expected a list",
    "too_short": "expected at least {min_length} items",
    "too_long": "expected at most {max_length} items",
    "model_type": "expected a mapping of keys",
    "dict_type": "expected a mapping of keys",
}
"""Messages for the errors that pydantic describes in terms of Python, by pydantic's type of the error."""


def _key_of(location: tuple[int | str, ...], document: Any) -> str:
    """The dotted key of an error, without the names of the types that were tried."""
    types = ("fixed", "rounds", "uniform", "range", "choices", "int", "float", "literal['auto']")
    key, here = [], document
    for part in location:
        if part in types:
            continue
        if isinstance(part, int) and document is not None and not isinstance(here, list | tuple):
            continue  # one value was given instead of a list of one
        key.append(str(part))
        try:
            here = here[part]
        except (TypeError, KeyError, IndexError):  # a key that is missing, or a default
            here = None
    return ".".join(key)


def _lies_within(inner: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer
