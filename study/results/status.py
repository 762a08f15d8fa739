"""How far studies are: trials by stage and outcome, epochs and the best so far, off the tracking server."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from study.results.read import OUTCOMES, TrackedStudy, epochs_trained, read_study
from study.stages import STAGES_OF_STUDENTS
from study.tracking import schema

STATES = {"RUNNING": "running", "FINISHED": "finished", "KILLED": "interrupted", "FAILED": "failed"}
"""The states of a study by the status of its parent run. Any other status is `unknown`."""


@dataclass(frozen=True)
class StageStatus:
    """How far one stage of a study is.

    Attributes:
        stage: its name; `teachers` as long as no student has begun.
        trials: how many there are of each outcome in `OUTCOMES`, without those of which there are none.
        epochs: trained in total; None where no run says it.
        best_val_error: the lowest best validation error of a trial, a share from 0 to 1; None before there is one.
        best_trial: the name of its run.
    """

    stage: str
    trials: dict[str, int]
    epochs: int | None = None
    best_val_error: float | None = None
    best_trial: str | None = None


@dataclass(frozen=True)
class StudyProgress:
    """How far one study is.

    Attributes:
        study: its name.
        state: one of `STATES`, or `unknown`.
        stages: in the order in which they run.
        bytes: of its folder; None where it is not known.
    """

    study: str
    state: str
    stages: tuple[StageStatus, ...]
    bytes: int | None = None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def progress_of(
    uris: Mapping[str, str], running: Collection[str] = (), sizes: Mapping[str, int] | None = None
) -> list[StudyProgress]:
    """How far studies are.

    Epochs are those of the trials that have ended, where the runs have them.

    Args:
        uris: each study's tracking address, by its name.
        running: studies that a process on this machine runs. The server may not know of a resume yet.
        sizes: the bytes of each study's folder, by its name.

    Raises:
        UserError: a server does not answer or does not know its study.
    """
    return [_progress(each, (sizes or {}).get(each.name)) for each in _studies(uris, running)]


def study_status(
    uris: Mapping[str, str], running: Collection[str] = (), sizes: Mapping[str, int] | None = None
) -> RichTable:
    """One line per study and stage; see `progress_of`."""
    return _table(progress_of(uris, running, sizes))


def watch_status(
    uris: Mapping[str, str],
    console: Console,
    seconds: float = 2.0,
    running: Callable[[], Collection[str]] = tuple,
) -> None:
    """Show the status again and again until no study is running any more; see `progress_of`."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            studies = progress_of(uris, running())
            live.update(_table(studies), refresh=True)
            if all(study.state != STATES["RUNNING"] for study in studies):
                return
            time.sleep(seconds)


def _studies(uris: Mapping[str, str], running: Collection[str]) -> list[TrackedStudy]:
    studies = [read_study(uri, name) for name, uri in uris.items()]
    return [
        replace(each, status="RUNNING") if each.name in running and each.status != "FINISHED" else each
        for each in studies
    ]


def _progress(study: TrackedStudy, size: int | None) -> StudyProgress:
    counts = study.counts()
    shown = [stage for stage in STAGES_OF_STUDENTS if stage in counts.index]
    stages = tuple(_stage(study, counts, stage) for stage in shown) or (StageStatus("teachers", {}),)
    return StudyProgress(study.name, STATES.get(study.status or "", "unknown"), stages, size)


def _stage(study: TrackedStudy, counts: pd.DataFrame, stage: str) -> StageStatus:
    of_stage = study.trials[study.trials[f"tags.{schema.STAGE}"] == stage]
    numbers = counts.loc[stage].to_dict()
    trials = {outcome: int(numbers[outcome]) for outcome in OUTCOMES if numbers.get(outcome)}
    column = f"metrics.{schema.BEST_VAL_ERROR}"
    measured = of_stage.dropna(subset=[column]) if column in of_stage else of_stage.iloc[:0]
    if measured.empty:
        return StageStatus(stage, trials, epochs_trained(of_stage))
    best = measured.sort_values(column, kind="stable").iloc[0]
    return StageStatus(stage, trials, epochs_trained(of_stage), float(best[column]), str(best["tags.mlflow.runName"]))


def _table(studies: list[StudyProgress]) -> RichTable:
    stages = [stage for study in studies for stage in study.stages]
    outcomes = [name for name in OUTCOMES if any(name in stage.trials for stage in stages)]
    has_epochs = any(stage.epochs is not None for stage in stages)
    has_sizes = any(study.bytes is not None for study in studies)
    table = RichTable(box=None, pad_edge=False)
    for column in ("study", "state", "stage"):
        table.add_column(column, no_wrap=True)
    for column in [*outcomes, *(["epochs"] if has_epochs else []), *(["disk"] if has_sizes else [])]:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(_cut("best validation error"))
    for study in studies:
        for number, stage in enumerate(study.stages):
            cells = [str(stage.trials.get(outcome, "")) for outcome in outcomes]
            if has_epochs:
                cells.append("" if stage.epochs is None else f"{stage.epochs:,}")
            if has_sizes:
                cells.append("" if study.bytes is None or number else decimal(study.bytes))
            table.add_row(study.study, study.state, stage.stage, *cells, _cut(_best(stage)))
    return table


def _cut(words: str) -> Text:
    """What a narrow terminal shows the beginning of; the only column that gives way."""
    return Text(words, no_wrap=True, overflow="ellipsis")


def _best(stage: StageStatus) -> str:
    return "" if stage.best_val_error is None else f"{stage.best_val_error:.2%} ({stage.best_trial})"
