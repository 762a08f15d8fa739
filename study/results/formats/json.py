"""A table as JSON.

Errors are fractions of 1, improvements are per cent, an interval is [low, high], and an unknown value is null.
"""

import json
from typing import Any

from study.results.columns import for_programs
from study.results.rows import Table

_FORMER_NAME = "`p_holm` is the former name of `p_corrected` and has its value; it will be removed in version 1.0."


def write(table: Table) -> str:
    """Write a table as JSON. The text has no NaN and no infinity, which JSON does not know."""
    return json.dumps(as_json(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_json(table: Table) -> dict[str, Any]:
    """The table as values that JSON knows.

    `errors` of a row has seeds as text, because keys of JSON are text. Settings stand beside the other values. If the
    trials have a target error, a row has `reached_target` (number of seeds), `epochs_to_target` and
    `seconds_to_target` (means over those seeds). If the students of the table differ in cost, a row has
    `multiplications` and `pareto` (true on the front, false off it, null without a mean error or a known cost).
    """
    columns = for_programs(table.rows)
    return {
        "study": table.study,
        "baseline_kind": table.baseline_kind,
        "rule": table.rule,
        "notes": [*table.notes, *([_FORMER_NAME] if table.rows else [])],
        "rows": [
            {column.name: _known(column.value(row)) for column in columns if column.has_value(row)}
            for row in table.rows
        ],
    }


def _known(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
