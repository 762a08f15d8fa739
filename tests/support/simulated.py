"""A stage without Ray and without trainings: errors follow a formula, and workers train one epoch each by turns.

The journal, its source, Optuna's storage and what asks and tells trials (`StageRun`) are the real ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from study.config import Outcome, TrialConfig
from study.records import EpochRecord, TrainingSummary, TrialReport, summary_without_result
from study.running.job import TrialJob
from study.running.journal import StageJournal
from study.running.stage import StageRun
from study.running.watcher import Watcher
from study.tracking.events import Event

NOWHERE = Path("/nonexistent")


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
    summary: TrainingSummary

    @property
    def outcome(self) -> Outcome:
        return self.summary.outcome


@dataclass
class Recorder(Watcher):
    """What was tracked, and which trials ended, in the order in which they did."""

    events: list[Event] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        if report.summary is not None:
            self.ended.append(Ended(report.number, trial, report.summary))


def run(
    journal: StageJournal, course: Callable[[TrialConfig], Course], workers: int = 1, recorder: Recorder | None = None
) -> list[Ended]:
    """Run a stage to its end.

    Args:
        journal: of the stage.
        course: how the training of a trial goes; asked only for trials that are trained.
        workers: trials at once.
        recorder: keeps what happens.

    Returns:
        the trials in the order in which they end.
    """
    recorder = recorder or Recorder()
    stage = StageRun(
        journal=journal,
        job=lambda number, trial_id, trial: TrialJob(number, trial, NOWHERE / trial_id, None, NOWHERE),
        params=lambda trial: {},
        track=recorder.events.append,
        watcher=recorder,
        workers=workers,
    )
    live: list[tuple[str, TrialJob, Course]] = []
    passed: dict[int, int] = {}
    begun = 0
    while True:
        while isinstance(job := stage.next_job(f"ray-{begun}"), TrialJob):
            live.append((f"ray-{begun}", job, course(job.trial)))
            begun += 1
        if not live:
            return recorder.ended
        ray_trial, job, planned = live.pop(0)
        passed[job.number] = passed.get(job.number, 0) + 1
        history = records(planned.errors[: passed[job.number]])
        is_over = passed[job.number] >= len(planned.errors)
        summary = summary_of(planned.outcome, history) if is_over else None
        stage.on_report(ray_trial, TrialReport(number=job.number, epochs=tuple(history), summary=summary))
        if not stage.is_over(ray_trial):
            live.append((ray_trial, job, planned))


def records(errors: Sequence[float]) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=epoch, train_loss=1.0, val_error=error, images_per_second=1.0, seconds=1.0, timestamp_ms=epoch
        )
        for epoch, error in enumerate(errors, 1)
    ]


def summary_of(outcome: Outcome, history: Sequence[EpochRecord]) -> TrainingSummary:
    reason = None if outcome in ("completed", "pruned") else "a reason"
    return summary_without_result(outcome, history, reason)
