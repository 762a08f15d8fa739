"""A table as CSV, and as a frame of pandas.

CSV has rows only. The notes are in the other formats.
"""

import json

import pandas as pd

from study.results.columns import always, for_programs
from study.results.rows import Table


def write(table: Table) -> str:
    """Write the rows of a table as CSV. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    rows = frame(table)
    return rows.map(_no_formula).rename(columns=_no_formula).to_csv(index=False)


def _no_formula(cell: object) -> object:
    if not isinstance(cell, str) or not cell.lstrip().startswith(("=", "+", "@", "-")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def frame(table: Table) -> pd.DataFrame:
    """The rows as a frame of pandas. Errors are fractions of 1.

    An interval has two columns, `NAME_low` and `NAME_high`. `sigma` is a number, or the text `[low, high]` for a
    uniform draw. `error_seed_0` and so on are the test errors of the seeds: one column for every seed of the table,
    empty where a row has none. The last two columns are the same in all rows: `baseline_kind` says how the settings of
    the baseline were found, `rule` is the name of the statistical rule.
    """
    columns = for_programs(table.rows)
    seeds = sorted({seed for row in table.rows for seed in row.errors})
    records = []
    for row in table.rows:
        record: dict[str, object] = {}
        for column in columns:
            if not column.has_value(row):
                continue
            name, value = column.name, column.value(row)
            if column.kind == "interval":
                record[f"{name}_low"], record[f"{name}_high"] = value or (None, None)
            elif column.kind == "by_seed":
                record |= {f"error_seed_{seed}": row.errors.get(seed) for seed in seeds}
            else:
                record[name] = json.dumps(value) if isinstance(value, list | tuple) else value
        records.append(record | {"baseline_kind": table.baseline_kind, "rule": table.rule})
    if records:
        return pd.DataFrame.from_records(records)
    names: list[str] = []
    for column in columns:
        if column.has_value is not always:
            continue
        if column.kind == "interval":
            names += [f"{column.name}_low", f"{column.name}_high"]
        elif column.kind == "plain":
            names.append(column.name)
    return pd.DataFrame(columns=[*names, "baseline_kind", "rule"])
