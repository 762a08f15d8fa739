"""Puts a pydantic `ValidationError` into one line.

Knows nothing of what is validated.
"""

import re
from typing import Any

from pydantic import (
    ValidationError,
)

from study.values import (
    shown,
)


def one_line(error: ValidationError, document: Any = None) -> str:
    """The first mistake of a validation as `key: what is wrong (value)`, and how many more there are.

    Args:
        error: what the validation raised.
        document: what was validated, if it is available. Then a single value that was given instead of a list is named
            without a position in the list.
    """
    errors = error.errors(include_url=False)
    # pydantic reports a list with a wrong item as too short as well. That is the same mistake.
    errors = [e for e in errors if not any(_lies_within(other["loc"], e["loc"]) for other in errors)]
    first, where = errors[0], _key_of(errors[0]["loc"], document)
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] in _IN_YAML_TERMS:
        what = _IN_YAML_TERMS[first["type"]].format(**first.get("ctx", {}))
        what = re.sub(r"\b(1 item)s\b", r"\1", what)
    if first["type"] not in ("value_error", "missing"):
        what = f"{what[0].lower()}{what[1:]}, not {shown(first['input'])}"
    # A value that may be of several types has one error for each of them.
    others = len({_key_of(e["loc"], document) for e in errors}) - 1
    more = f" (and {others} more)" if others else ""
    return " ".join(f"{where + ': ' if where else ''}{what}{more}".split())


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
