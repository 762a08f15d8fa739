"""A stage without Ray and without trainings: errors follow a formula, and workers train one epoch each by turns.

The journal, its source and Optuna's storage are the real ones. Trials are told as `study.search.stage` tells them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.config import Outcome, TrialConfig
from study.records import EpochRecord, TrainingSummary, TrialReport, summary_without_result
from study.search.journal import StageJournal


@dataclass(frozen=True)
class Course:
    """The validation errors of a training, epoch by epoch, and how it ends after the last one."""

    errors: Sequence[float]
    outcome: Outcome = "completed"


@dataclass(frozen=True)
class Ended:
    """A trial of a simulated stage that is over."""

    number: int
    trial: TrialConfig
    outcome: Outcome


def records(errors: Sequence[float]) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=epoch, train_loss=1.0, val_error=error, images_per_second=1.0, seconds=1.0, timestamp_ms=epoch
        )
        for epoch, error in enumerate(errors, 1)
    ]


def run(journal: StageJournal, course: Callable[[TrialConfig], Course], workers: int = 1) -> list[Ended]:
    """Run a stage to its end; the trials in the order in which they end."""
    live: list[tuple[int, TrialConfig]] = []
    passed: dict[int, int] = {}
    ended: list[Ended] = []
    while True:
        while len(live) < workers and (asked := journal.ask()) is not None:
            live.append(asked)
        if not live:
            return ended
        number, trial = live.pop(0)
        planned = course(trial)
        passed[number] = passed.get(number, 0) + 1
        history = records(planned.errors[: passed[number]])
        outcome: Outcome | None = None
        if passed[number] >= len(planned.errors):
            journal.keep(number, history)
            outcome = planned.outcome
        elif journal.report(number, history):
            outcome = "pruned"
        if outcome is None:
            live.append((number, trial))
            continue
        journal.tell(TrialReport(number=number, summary=summary(outcome, history)))
        ended.append(Ended(number, trial, outcome))


def summary(outcome: Outcome, history: Sequence[EpochRecord]) -> TrainingSummary:
    reason = None if outcome in ("completed", "pruned") else "a reason"
    return summary_without_result(outcome, history, reason)
