"""One stage of a study, as the driver sees it: which trials run, and what is done with their reports.

Knows nothing of where trials run; `run_stage` does. A resume needs nothing from Ray: it first runs the trials that are
RUNNING in the journal, then asks for new ones. The end of a trial is written to the outbox first and to the journal
second: after a crash in between it is written to both again, so it is never lost. Optuna's pruner stops trials early.
It reads only the journal.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from study.config import TrialConfig
from study.errors import StudyFailed
from study.records import EpochRecord, TrainingSummary, TrialReport, summary_without_result
from study.running.job import TrialJob
from study.running.journal import StageJournal
from study.running.machine_limits import kernel_memory_kills
from study.running.result import RESULT
from study.running.trial import discard_checkpoints
from study.running.watcher import Watcher
from study.tracking.ended import EndedRun
from study.tracking.events import EpochsPassed, Event, RunBegan, RunEnded, now_ms
from study.tracking.names import run_name

FINISHED = "FINISHED"
"""What `next_job` returns when there are no more trials, as Ray Tune's searchers do."""

MAX_LOSSES = 5
"""How many times in a row a trial may lose its worker before it has trained one more epoch. Then it counts as
failed."""


@dataclass(frozen=True)
class Placement:
    """How many trials of a stage run at once, and the CPUs and GPUs of each process that trains.

    Attributes:
        workers: trials that run at once.
        cpus, gpus: of one process.
        lanes: trials that one process trains side by side.
    """

    workers: int
    cpus: int
    gpus: float
    lanes: int = 1

    @property
    def device(self) -> str:
        """The device of each trial, by its name in PyTorch."""
        return "cuda" if self.gpus > 0 else "cpu"


@dataclass
class StageRun:
    """A stage that is running, as the driver sees it.

    Args:
        journal: the trials of the stage.
        job: makes a trial's job from its number, id and configuration.
        params: returns the parameters of a trial's run in MLflow.
        track: takes an event for the tracking server; the event is on disk when this returns.
        watcher: is called when something happens.
        workers: how many trials run at once.
        root: the folder of all studies. Without it the journal keeps the epochs of every trial.
    """

    journal: StageJournal
    job: Callable[[int, str, TrialConfig], TrialJob]
    params: Callable[[TrialConfig], dict[str, str]]
    track: Callable[[Event], None]
    watcher: Watcher
    workers: int
    root: Path | None = None
    error: Exception | None = None
    _live: dict[str, TrialJob] = field(default_factory=dict)
    _again: list[tuple[int, TrialConfig]] = field(default_factory=list)
    _losses: dict[int, int] = field(default_factory=dict)
    _began: dict[int, RunBegan] = field(default_factory=dict)
    _histories: dict[int, dict[int, EpochRecord]] = field(default_factory=dict)
    trials_of_nodes: Counter[str] = field(default_factory=Counter)
    """How many trials ended on each node, by its address."""

    def __post_init__(self) -> None:
        self._memory_kills = kernel_memory_kills()
        self._again = self.journal.unfinished()

    def next_job(self, ray_trial: str) -> TrialJob | str | None:
        """The next trial's job, known by the name `ray_trial`; None: ask again later; `FINISHED`: there is no other."""
        if self.error is not None:
            return FINISHED
        if len(self._live) >= self.workers:
            return None
        while (next_trial := self._next_trial()) is not None:
            number, trial = next_trial
            self._begin_trial(number, trial)
            job = self.job(number, self.journal.trial_id(number), trial)
            if (summary := self.journal.repeated(number)) is None:
                self._live[ray_trial] = job
                return job
            report = TrialReport(number=number, summary=summary)
            self._end_trial(job, report, summary)
            self.watcher.trial_reports(self.journal.trial_id(number), trial, report)
        # A running trial may still lose its worker and need another one.
        return None if self._live else FINISHED

    def _next_trial(self) -> tuple[int, TrialConfig] | None:
        return self._again.pop(0) if self._again else self.journal.ask()

    def _begin_trial(self, number: int, trial: TrialConfig) -> None:
        trial_id = self.journal.trial_id(number)
        if self.journal.is_over(number):
            self.watcher.says(f"{trial_id}: its files are damaged; it is trained again")
            return
        began = RunBegan(
            trial_id=trial_id,
            kind="teacher" if trial.stage == "teacher" else "trial",
            role=trial.role,
            stage=trial.stage,
            name=run_name(trial),
            params=self.params(trial),
            timestamp_ms=now_ms(),
        )
        self.track(began)
        self._began[number] = began
        self.watcher.trial_begins(self.journal.name, trial_id, trial)

    def _end_trial(self, job: TrialJob, report: TrialReport, summary: TrainingSummary) -> None:
        """Write a trial's end to the outbox, then to the journal. After a crash in between, a resume repeats both."""
        trial_id = self.journal.trial_id(report.number)
        if self.journal.is_over(report.number):
            if summary.outcome != "completed":
                raise StudyFailed(
                    f"{trial_id} was trained again, because its files were damaged, and is {summary.outcome} now "
                    f"({summary.reason})"
                )
            self.journal.tell(report)
            return
        began = self._began.pop(report.number)
        ended = RunEnded(trial_id=trial_id, summary=summary, timestamp_ms=_end(report), params=began.params)
        self.track(ended)
        self.journal.tell(report, self._run_of(job, began, ended))

    def _run_of(self, job: TrialJob, began: RunBegan, ended: RunEnded) -> EndedRun:
        """What the journal keeps of a run. Its epochs are in the trial's result, or here if it has no result."""
        if self.root is not None and ended.summary.outcome in ("completed", "diverged"):
            result = (job.folder / RESULT).relative_to(self.root.absolute())
            return EndedRun(began=began, ended=ended, result=str(result))
        passed = self._histories.get(job.number, {})
        return EndedRun(began=began, ended=ended, epochs=tuple(passed[epoch] for epoch in sorted(passed)))

    def on_report(self, ray_trial: str, report: TrialReport) -> None:
        """Handle a report of a running trial. The same report may come more than once."""
        if ray_trial not in self._live:
            return
        job = self._live[ray_trial]
        number, trial = job.number, job.trial
        for message in report.messages:
            self.watcher.says(message)
        if report.epochs and not self.journal.is_over(number):
            self.track(EpochsPassed(trial_id=self.journal.trial_id(number), epochs=report.epochs))
            report = self._stopped_early(number, report)
        if report.summary is not None:
            self._end_trial(job, report, report.summary)
            del self._live[ray_trial]
            self._histories.pop(number, None)
            if report.summary.outcome == "pruned":
                discard_checkpoints(job.folder)
        if report.fatal is not None:
            self.error = self.error or StudyFailed(report.fatal)
            del self._live[ray_trial]
        self.watcher.trial_reports(self.journal.trial_id(number), trial, report)

    def is_over(self, ray_trial: str) -> bool:
        """Whether a trial has ended."""
        return ray_trial not in self._live

    def _stopped_early(self, number: int, report: TrialReport) -> TrialReport:
        """The report; with the outcome `pruned` in it if the journal's pruner stops the trial here.

        The pruner is not asked about a trial that has already ended: the journal only keeps its epochs. So after a
        crash between a pruner's decision and the trial's end, the end that the trial reached itself counts.
        """
        history = self._histories.setdefault(number, {})
        if any(record.epoch not in history for record in report.epochs):
            self._losses.pop(number, None)
        history.update({record.epoch: record for record in report.epochs})
        if report.summary is not None:
            self.journal.keep(number, report.epochs)
            return report
        if not self.journal.report(number, report.epochs):
            return report
        epochs = [history[epoch] for epoch in sorted(history)]
        return report.model_copy(update={"summary": summary_without_result("pruned", epochs, None)})

    @contextmanager
    def stopping_on_errors(self) -> Iterator[None]:
        """Keep an error and stop the stage. Raised inside Ray's loop, the error would lose its type and message."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again by `run_stage`
            self.error = self.error or error

    def on_worker_lost(self, ray_trial: str) -> None:
        """Queue a trial again because its worker is gone; after `MAX_LOSSES` times in a row it fails."""
        if ray_trial not in self._live:
            return
        job = self._live[ray_trial]
        number = job.number
        self._losses[number] = self._losses.get(number, 0) + 1
        if self._losses[number] <= MAX_LOSSES:
            del self._live[ray_trial]
            self._again.append((number, job.trial))
            return
        reason = f"its worker was lost {self._losses[number]} times in a row without a new epoch"
        if (kills := kernel_memory_kills() - self._memory_kills) > 0:
            reason += (
                f"; memory ran out: the kernel killed {kills} processes meanwhile; lower resources.workers or "
                "train.batch_size, or allow more memory"
            )
        passed = self._histories.get(number, {})
        summary = summary_without_result("failed", [passed[epoch] for epoch in sorted(passed)], reason)
        self.on_report(ray_trial, TrialReport(number=number, summary=summary))


def _end(report: TrialReport) -> int:
    """When a trial ended, in Unix milliseconds: the time of its last epoch, so a repeated report gives the same
    time."""
    return report.epochs[-1].timestamp_ms if report.epochs else now_ms()
