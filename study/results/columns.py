"""The columns of a table, each declared once.

Works on rows. Knows nothing of formats. To add a column, add one entry to `COLUMNS`: every format then has it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from study.noise.settings import Noise
from study.results.cells import (
    detectable_text,
    error_text,
    fixed,
    improvement_text,
    p_text,
    plain_text,
    sigma_text,
    signed_percent,
)
from study.results.rows import Row, Table
from study.results.verdicts import WORDS
from study.stages import GRID
from study.tracking import schema


def always(_: object) -> bool:
    """The condition of a column that every table has."""
    return True


@dataclass(frozen=True)
class Column:
    """One column of a table.

    The first four attributes are for people (text, Markdown, LaTeX, HTML), the others for programs (JSON, CSV).

    Attributes:
        heading: what people read above the column. Empty: people do not see the column.
        cell: the text of one row.
        numeric: whether the cells are numbers. Numbers stand on the right.
        shown: whether a table with these rows shows the column to people.
        name: the key in JSON and the heading in CSV. Empty: programs do not see the column.
        value: what JSON has for one row.
        has_value: whether JSON has the key for this row. The CSV of a table without rows has the columns without a
            condition.
        kind: how CSV writes the value. `interval` gives the columns `NAME_low` and `NAME_high`. `by_seed` gives the
            column `error_seed_SEED` for every seed of the table.
    """

    heading: str = ""
    cell: Callable[[Row], str] = lambda _: ""
    numeric: bool = True
    shown: Callable[[Sequence[Row]], bool] = always
    name: str = ""
    value: Callable[[Row], Any] = lambda _: None
    has_value: Callable[[Row], bool] = always
    kind: Literal["plain", "interval", "by_seed"] = "plain"


ColumnsOfRows = Callable[[Sequence[Row]], Sequence[Column]]
"""Gives the columns whose number depends on the rows."""


def for_people(table: Table) -> list[Column]:
    """The columns that people see. What is the same in all rows is in the subtitle instead."""
    return [column for column in _expanded(table.rows) if column.heading and column.shown(table.rows)]


def for_programs(rows: Sequence[Row]) -> list[Column]:
    """The columns of JSON and CSV, in their order. Of two columns with the same name, the first one counts."""
    found: dict[str, Column] = {}
    for column in _expanded(rows):
        if column.name:
            found.setdefault(column.name, column)
    return list(found.values())


def _expanded(rows: Sequence[Row]) -> list[Column]:
    found: list[Column] = []
    for entry in COLUMNS:
        found += [entry] if isinstance(entry, Column) else entry(rows)
    return found


def title(table: Table) -> str:
    """The table's heading."""
    return f"{table.study}: improvement over the baseline"


def subtitle(table: Table) -> str:
    """What all rows have in common. Empty for a table without rows."""
    if not table.rows:
        return ""
    first, parts = table.rows[0], []
    if not _varies(row.arm.student for row in table.rows):
        parts.append(f"student {first.arm.student}")
    if not _varies(map(_teacher, table.rows)):
        parts.append(f"teacher {_teacher(first)}")
    noises = sorted({row.arm.noise for row in table.rows if row.arm.noise})
    if len(noises) == 1:
        parts.append(f"{noises[0]} noise")
    if first.compression_ratio is not None and not _varies(row.compression_ratio for row in table.rows):
        parts.append(f"compression ratio {first.compression_ratio:.2f}")
    return ", ".join(parts)


# ------------------------------------------------------------------------------------------- conditions and cells


def _varies(values: Iterable[object]) -> bool:
    return len(set(values)) > 1


def _differs(value: Callable[[Row], object]) -> Callable[[Sequence[Row]], bool]:
    """The condition that not all rows have the same value."""
    return lambda rows: _varies(map(value, rows))


def _any(holds: Callable[[Row], bool]) -> Callable[[Sequence[Row]], bool]:
    """The condition that holds where it holds for one row or more."""
    return lambda rows: any(map(holds, rows))


def _teacher(row: Row) -> str:
    return row.teacher_label or row.arm.teacher


def _method(row: Row) -> str:
    method = row.arm.method.replace("_", " ")
    return f"{method} (baseline)" if row.arm.role == "baseline" else method


def _verdict(row: Row) -> str:
    if row.arm.role == "baseline":
        return WORDS["seeds_lost"] if row.is_lost else ""
    return WORDS[row.verdict]


def _epochs_to_target(row: Row) -> str:
    if row.speed is None:
        return ""
    reached = "" if row.speed.reached == row.n else f" ({row.speed.reached} of {row.n})"
    return fixed(row.speed.epochs, 1) + reached


def _multiplications(row: Row) -> str:
    return "" if row.cost is None or row.cost.multiplications is None else f"{row.cost.multiplications:,}"


def _measured(row: Row, name: str) -> float | None:
    found: float | None = None if row.measured is None else getattr(row.measured, name)
    return found


def _measures(rows: Sequence[Row]) -> list[Column]:
    """What was measured beside the errors, for programs: each where a row has it."""

    def of(name: str) -> Column:
        return Column(name=name, value=lambda row: _measured(row, name))

    names = (schema.LOGIT_RMS, schema.NOISE_RMS, "relative_noise", schema.TEACHER_AGREEMENT)
    return [of(name) for name in names if any(_measured(row, name) is not None for row in rows)]


def _noise_settings(rows: Sequence[Row]) -> list[Column]:
    """The settings of the noise, for programs; people see the label `noise`."""

    def of(name: str) -> Column:
        return Column(
            name=schema.NOISE_SETTING + name,
            value=lambda row: getattr(row.arm.noise_settings, name, None),
        )

    return [of(name) for name in Noise.model_fields] if any(row.arm.noise_settings for row in rows) else []


def _has_speed(row: Row) -> bool:
    return row.speed is not None


def _has_cost(row: Row) -> bool:
    return row.cost is not None


def _is_compared(row: Row) -> bool:
    return row.study is not None


def _is_published(row: Row) -> bool:
    return row.published_error_percent is not None


def _setting_names(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(rows[0].settings) if rows else ()


def _settings_for_people(rows: Sequence[Row]) -> list[Column]:
    return [
        Column(name, lambda row, name=name: plain_text(row.settings[name]))  # type: ignore[misc]
        for name in _setting_names(rows)
    ]


def _settings_for_programs(rows: Sequence[Row]) -> list[Column]:
    return [
        Column(name=name, value=lambda row, name=name: row.settings[name])  # type: ignore[misc]
        for name in _setting_names(rows)
    ]


# ---------------------------------------------------------------------------------------------------- the columns

COLUMNS: tuple[Column | ColumnsOfRows, ...] = (
    Column(
        "study",
        lambda row: row.study or "",
        numeric=False,
        shown=_any(_is_compared),
        name="study",
        value=lambda row: row.study,
        has_value=_is_compared,
    ),
    Column(name="role", value=lambda row: row.arm.role),
    Column(name="stage", value=lambda row: row.stage),
    Column(
        "student",
        lambda row: row.arm.student,
        numeric=False,
        shown=_differs(lambda row: row.arm.student),
        name="student",
        value=lambda row: row.arm.student,
    ),
    Column(
        "teacher", _teacher, numeric=False, shown=_differs(_teacher), name="teacher", value=lambda row: row.arm.teacher
    ),
    Column(name="teacher_key", value=lambda row: row.arm.teacher_key),
    Column("method", _method, numeric=False, name="method", value=lambda row: row.arm.method),
    Column(
        "σ",
        lambda row: sigma_text(row.arm.sigma),
        shown=_any(lambda row: row.arm.sigma is not None),
        name="sigma",
        value=lambda row: row.arm.sigma,
    ),
    Column(name="sigma_mode", value=lambda row: row.arm.sigma_mode),
    Column(name="noise", value=lambda row: row.arm.noise),
    Column(name="reading", value=lambda row: row.arm.reading),
    Column(
        "α",
        lambda row: plain_text(row.arm.alpha),
        shown=_any(lambda row: row.arm.alpha is not None),
        name="alpha",
        value=lambda row: row.arm.alpha,
    ),
    Column(
        "noise",
        lambda row: row.arm.noise or "",
        numeric=False,
        shown=lambda rows: _varies(row.arm.noise for row in rows if row.arm.noise),
    ),
    Column(
        "noise / logits",
        lambda row: plain_text(_measured(row, "relative_noise")),
        shown=lambda rows: _varies(row.arm.noise for row in rows if row.arm.noise),
    ),
    _settings_for_people,
    Column("stage", lambda row: row.stage, numeric=False, shown=_any(lambda row: row.stage != GRID)),
    Column(
        "n",
        lambda row: str(row.n) if row.n == row.n_planned else f"{row.n} of {row.n_planned}",
        name="n",
        value=lambda row: row.n,
    ),
    Column(name="n_planned", value=lambda row: row.n_planned),
    Column(name="n_diverged", value=lambda row: row.n_diverged),
    Column(name="n_failed", value=lambda row: row.n_failed),
    Column(name="errors", value=lambda row: {str(seed): error for seed, error in row.errors.items()}, kind="by_seed"),
    Column("test error %", error_text, name="test_error_mean", value=lambda row: row.test_error_mean),
    Column(name="test_error_ci95", value=lambda row: row.test_error_ci95, kind="interval"),
    Column("improvement", improvement_text, name="improvement_percent", value=lambda row: row.improvement_percent),
    Column(name="improvement_ci95", value=lambda row: row.improvement_ci95, kind="interval"),
    Column("p", lambda row: p_text(row.p_value), name="p_value", value=lambda row: row.p_value),
    Column("p corr.", lambda row: p_text(row.p_corrected), name="p_corrected", value=lambda row: row.p_corrected),
    Column("verdict", _verdict, numeric=False, name="verdict", value=lambda row: row.verdict),
    Column(
        "detectable",
        detectable_text,
        shown=_any(lambda row: row.detectable_percent is not None),
        name="detectable_percent",
        value=lambda row: row.detectable_percent,
        kind="interval",
    ),
    Column(name="compression_ratio", value=lambda row: row.compression_ratio),
    Column(name="published_error_percent", value=lambda row: row.published_error_percent),
    Column(name="published_improvement_percent", value=lambda row: row.published_improvement_percent),
    Column(name="p_holm", value=lambda row: row.p_corrected),  # the former name of `p_corrected`
    Column(
        "agreement %",
        lambda row: "" if (share := _measured(row, schema.TEACHER_AGREEMENT)) is None else fixed(share * 100, 2),
        shown=_any(lambda row: _measured(row, schema.TEACHER_AGREEMENT) is not None),
    ),
    _measures,
    _noise_settings,
    Column("epochs to target", _epochs_to_target, shown=_any(_has_speed)),
    Column(
        "s to target",
        lambda row: fixed(row.speed.seconds, 1) if row.speed else "",
        shown=_any(_has_speed),
    ),
    Column(
        "multiplications",
        _multiplications,
        shown=_any(_has_cost),
        name=schema.MULTIPLICATIONS,
        value=lambda row: row.cost.multiplications if row.cost else None,
        has_value=_has_cost,
    ),
    Column(
        "front",
        lambda row: "*" if row.cost and row.cost.pareto else "",
        numeric=False,
        shown=_any(_has_cost),
        name="pareto",
        value=lambda row: row.cost.pareto if row.cost else None,
        has_value=_has_cost,
    ),
    Column(
        name="reached_target",
        value=lambda row: row.speed.reached if row.speed else None,
        has_value=_has_speed,
    ),
    Column(
        name=schema.EPOCHS_TO_TARGET,
        value=lambda row: row.speed.epochs if row.speed else None,
        has_value=_has_speed,
    ),
    Column(
        name=schema.SECONDS_TO_TARGET,
        value=lambda row: row.speed.seconds if row.speed else None,
        has_value=_has_speed,
    ),
    Column(
        "compression",
        lambda row: fixed(row.compression_ratio, 2),
        shown=_differs(lambda row: row.compression_ratio),
    ),
    Column("published error %", lambda row: fixed(row.published_error_percent, 2), shown=_any(_is_published)),
    Column(
        "published improvement",
        lambda row: signed_percent(row.published_improvement_percent),
        shown=_any(_is_published),
    ),
    _settings_for_programs,
)
"""Read from top to bottom, the entries with a heading give the order for people, and those with a name the order of
JSON and CSV. A new column is one entry with both. Some columns have two entries because the two orders differ there."""
