"""How far studies are: trials by stage and outcome, epochs and the best so far, off the tracking server."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from rich.console import Console
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from study.results.read import OUTCOMES, TrackedStudy, epochs_trained, read_study
from study.stages import STAGES_OF_STUDENTS
from study.tracking import schema


def study_status(uris: Mapping[str, str], running: Collection[str] = ()) -> RichTable:
    """One line per study and stage.

    Epochs are those of the trials that have ended, where the runs tell them.

    Args:
        uris: each study's tracking address, by its name.
        running: studies that a process on this machine runs. The server may not know of a resume yet.

    Raises:
        UserError: a server does not answer or does not know its study.
    """
    return _table(_studies(uris, running))


def watch_status(
    uris: Mapping[str, str],
    console: Console,
    seconds: float = 2.0,
    running: Callable[[], Collection[str]] = tuple,
) -> None:
    """Show the status again and again until no study is running any more; see `study_status`."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            studies = _studies(uris, running())
            live.update(_table(studies), refresh=True)
            if all(study.status != "RUNNING" for study in studies):
                return
            time.sleep(seconds)


def _studies(uris: Mapping[str, str], running: Collection[str]) -> list[TrackedStudy]:
    studies = [read_study(uri, name) for name, uri in uris.items()]
    return [
        replace(each, status="RUNNING") if each.name in running and each.status != "FINISHED" else each
        for each in studies
    ]


def _table(studies: list[TrackedStudy]) -> RichTable:
    counted = [(study, study.counts()) for study in studies]
    outcomes = [name for name in OUTCOMES if any(name in counts.columns for _, counts in counted)]
    table = RichTable(box=None, pad_edge=False)
    for column in ("study", "state", "stage"):
        table.add_column(column, no_wrap=True)
    tells_epochs = any(epochs_trained(study.trials) is not None for study in studies)
    for column in [*outcomes, "epochs"] if tells_epochs else outcomes:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(_cut("best validation error"))
    for study, counts in counted:
        shown: list[str] = [stage for stage in STAGES_OF_STUDENTS if stage in counts.index]
        for stage in shown or ["teachers"]:
            of_stage = counts.loc[stage].to_dict() if stage in counts.index else {}
            numbers = [str(of_stage.get(outcome) or "") for outcome in outcomes]
            if tells_epochs:
                epochs = epochs_trained(study.trials[study.trials[f"tags.{schema.STAGE}"] == stage])
                numbers.append("" if epochs is None else f"{epochs:,}")
            table.add_row(study.name, _state(study), stage, *numbers, _cut(_best(study, stage)))
    return table


def _cut(words: str) -> Text:
    """What a narrow terminal shows the beginning of; the only column that gives way."""
    return Text(words, no_wrap=True, overflow="ellipsis")


def _state(study: TrackedStudy) -> str:
    return {"RUNNING": "running", "FINISHED": "finished", "KILLED": "interrupted", "FAILED": "failed"}.get(
        study.status or "", "unknown"
    )


def _best(study: TrackedStudy, stage: str) -> str:
    column = f"metrics.{schema.BEST_VAL_ERROR}"
    if column not in study.trials:
        return ""
    trials = study.trials[study.trials[f"tags.{schema.STAGE}"] == stage].dropna(subset=[column])
    if trials.empty:
        return ""
    best = trials.sort_values(column, kind="stable").iloc[0]
    return f"{best[column]:.2%} ({best['tags.mlflow.runName']})"
