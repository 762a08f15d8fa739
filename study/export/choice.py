"""Chooses the best student of a study by validation error, without the test set.

Works on what `study.results` reads from the tracking server. The row with the lowest mean validation error is chosen,
and of its seeds the one with the lowest error. The baseline's row can be chosen too: if no noise helped, the plain
student is the best one. A row that lost a seed is never chosen. Knows nothing of weights.
"""

import math
from dataclasses import dataclass

from study.errors import UserError
from study.results.figures.chosen import by_validation
from study.results.read import TrackedStudy
from study.results.rows import Row, Table
from study.results.selection import runs_of_rows
from study.results.table import table_of
from study.tracking import schema


@dataclass(frozen=True)
class Choice:
    """The best student of a study: one training of the best row.

    Attributes:
        table: the study's table.
        row: its row with the lowest mean validation error, the first of equals.
        seeds: the row's seeds.
        val_error_mean: that mean, a fraction of 1.
        trial_id, run_id, seed: the row's training with the lowest validation error; of equal ones, the lowest seed.
        val_error, test_error: of that training alone. The choice does not use the test error.
        teacher_chain: the teachers with their own teachers; None if they have none.
        teacher_key: identifies the teachers; None if the run does not have it (`study.planning.keys`).
    """

    study: str
    table: Table
    row: Row
    seeds: tuple[int, ...]
    val_error_mean: float
    trial_id: str
    run_id: str
    seed: int
    val_error: float
    test_error: float
    teacher_chain: str | None
    teacher_key: str | None


def choose(tracked: TrackedStudy) -> Choice:
    """Choose the best student.

    Raises:
        UserError: no trial of the stages grid and confirm is completed, none has a validation error, every row lost a
            seed, or a trial's parameters cannot be read.
    """
    table, validation = table_of(tracked), by_validation(tracked)
    row = validation.best(table.rows)
    mean = None if row is None else validation.error(row)
    if row is None and any(row.is_lost for row in table.rows):
        raise UserError(
            f"study {tracked.name}: every row with a completed student lost seeds to trainings that diverged or "
            f"failed, so no student can be chosen; see noisy-study table {tracked.name}"
        )
    if row is None or mean is None:
        raise UserError(
            f"study {tracked.name} has no completed student yet; resume it with: noisy-study resume {tracked.name}"
        )
    seeds = runs_of_rows(tracked)[table.rows.index(row)]
    runs = {run["run_id"]: run for run in tracked.trials.to_dict("records")}
    column = f"metrics.{schema.BEST_VAL_ERROR}"
    known = {seed: runs[run_id] for seed, run_id in seeds.items() if not math.isnan(runs[run_id][column])}
    seed = min(known, key=lambda each: (known[each][column], each))
    run = known[seed]
    chain, key = (run.get(f"params.{name}") for name in (schema.TEACHER_CHAIN, schema.TEACHER_KEY))
    return Choice(
        study=tracked.name,
        table=table,
        row=row,
        seeds=tuple(sorted(seeds)),
        val_error_mean=mean,
        trial_id=str(run.get(f"tags.{schema.TRIAL_ID}")),
        run_id=str(run["run_id"]),
        seed=seed,
        val_error=float(run[column]),
        test_error=float(run[f"metrics.{schema.TEST_ERROR}"]),
        teacher_chain=chain if isinstance(chain, str) else None,
        teacher_key=key if isinstance(key, str) else None,
    )
