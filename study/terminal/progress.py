"""The live display of a running study: trials done of all, the best so far, rate and time left.

Works on the calls of a `Watcher`. Knows nothing of what runs the trials. On a terminal it draws one line. Elsewhere (a
file, a pipe, a job's log) it prints a line for each stage and for every few per cent of the trials.
"""

import math
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from study.config import StudyConfig, TrialConfig
from study.planning import plan
from study.records import TrialReport
from study.running.watcher import Watcher
from study.stages import TEACHER, WORDS, stage_of
from study.terminal.time_left import TimeLeft, expected_trials
from study.tracking.names import run_name

SECONDS_BETWEEN_LINES = 30.0
"""In a log, of two lines about a teacher's epochs."""

LINES_OF_A_STUDY = 20
"""A log has about so many lines about trials: one for every 5 % of them."""

CHEAP = 0.01
"""Seconds that an estimate of the time left may take for every epoch that is reported."""


class TerminalProgress(Watcher):
    """Draws one line on a terminal; use as a context manager.

    Args:
        config: the study.
        console: where to.
        lines: print a line for every trial that ends, for a job's log that somebody follows.
    """

    def __init__(self, config: StudyConfig, console: Console, lines: bool = False) -> None:
        self._console, self._lines = console, lines
        self._is_log = not console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            _WhereItFits(lambda task: task.description),
            BarColumn(bar_width=12),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            _CountedDown(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}"),
            _WhereItFits(lambda task: task.fields["best"]),
            console=console,
            disable=self._is_log,
            transient=True,
        )
        self._task: TaskID | None = None
        self._sizes = {TEACHER: len(plan.teacher_trials(config))}
        self._sizes |= {name: len(trials) for name, trials in expected_trials(config).items()}
        self._data = config.data.name
        self._time_left = TimeLeft(config)
        self._done_before: dict[str, int] = {}
        self._ended: set[str] = set()
        self._best: tuple[float, str] | None = None
        self._estimate: tuple[float | None, float | None] = None, None  # when the study ends, epochs per second
        self._estimate_again = -math.inf
        self._teacher_line_again = -math.inf
        self._printed = 0  # the number of trials in the last line of a log

    def __enter__(self) -> "TerminalProgress":
        self._progress.start()
        self._task = self._progress.add_task(f"loading {self._data}", total=self._total, best="", rate="", end=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage_begins(self, name: str, total: int, done: int, workers: int) -> None:
        if stage_of(name) != TEACHER:  # which come level by level, and whose trainings are known beforehand
            self._sizes[name] = total
            self._time_left.stage_begins(name, total, done, workers, time.monotonic())
        is_new = name not in self._done_before  # a stage in rounds begins several times
        self._done_before.setdefault(name, done)
        if self._is_log and is_new:
            before = f", {done} of them done before" if done else ""
            self.says(f"{name}: {total} {'trial' if total == 1 else 'trials'}{before}, {workers} at once")
        self._show(WORDS[stage_of(name)])

    def trial_begins(self, name: str, trial_id: str, trial: TrialConfig) -> None:
        if trial.stage == TEACHER:
            self._show(_of_a_teacher(trial, 0))
        else:
            self._time_left.trial_begins(name, trial_id, trial, time.monotonic())

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        if report.summary is not None:
            self._ended.add(trial_id)
            if self._lines:
                error = report.summary.best_val_error
                how = report.summary.outcome if error is None else f"{report.summary.outcome}, {error:.2%}"
                self.says(f"{trial_id} ({run_name(trial)}): {how}")
        if trial.stage == TEACHER:
            self._teacher_reports(trial, report)
            return
        now = time.monotonic()
        self._time_left.epochs_pass(trial_id, [(each.epoch, each.seconds) for each in report.epochs], now)
        if report.summary is not None:
            self._time_left.trial_ends(trial_id, report.summary.epochs, now)
            error = report.summary.best_val_error
            if error is not None and (self._best is None or error < self._best[0]):
                self._best = (error, run_name(trial))
            if self._is_log and not self._lines:
                self._print_progress(WORDS[trial.stage])
        self._show(WORDS[trial.stage], *self._estimated(now))

    def says(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    @property
    def _total(self) -> int:
        return sum(self._sizes.values())

    @property
    def _completed(self) -> int:
        return sum(self._done_before.values()) + len(self._ended)

    @property
    def _best_in_words(self) -> str:
        return "" if self._best is None else f"best {self._best[0]:.2%} ({self._best[1]})"

    def _print_progress(self, stage: str) -> None:
        """A line of a log, where enough trials have ended since the last one."""
        done, total = self._completed, self._total
        if done - self._printed < max(1, total // LINES_OF_A_STUDY) and done < total:
            return
        self._printed = done
        left = self._time_left.seconds()
        facts = [self._best_in_words, "" if left is None or done == total else f"{_duration(left)} left"]
        self.says(", ".join([f"{stage}: {done} of {total} trials of the study", *filter(None, facts)]))

    def _estimated(self, now: float) -> tuple[float | None, float | None]:
        """When the study ends, and how fast it is. An estimate goes through all trials to come, so where they are many
        it is not made for every epoch, but in a twentieth of the time; and not at all where nothing is drawn."""
        if now >= self._estimate_again and not self._progress.disable:
            left = self._time_left.seconds()
            self._estimate = None if left is None else now + left, self._time_left.epochs_per_second()
            took = time.monotonic() - now
            self._estimate_again = now + 20 * took if took > CHEAP else now
        return self._estimate

    def _teacher_reports(self, trial: TrialConfig, report: TrialReport) -> None:
        if not report.epochs or report.summary is not None:
            self._show(WORDS[TEACHER])
            return
        last = report.epochs[-1]
        words = f"{_of_a_teacher(trial, last.epoch)}, {last.val_error:.2%}"
        now = time.monotonic()
        self._show(words, now + last.seconds * (trial.train.epochs - last.epoch))
        if (self._lines or self._is_log) and now >= self._teacher_line_again:
            self._teacher_line_again = now + SECONDS_BETWEEN_LINES
            self.says(words)

    def _show(self, description: str, end: float | None = None, rate: float | None = None) -> None:
        if self._task is None:
            return
        self._progress.update(
            self._task,
            description=description,
            total=self._total,
            completed=self._completed,
            best=self._best_in_words,
            rate="" if rate is None else _rate(rate),
            end=end,
        )


class _CountedDown(ProgressColumn):
    """The time left, which also falls between two reports."""

    def render(self, task: Task) -> Text:
        end: float | None = task.fields["end"]
        return Text("" if end is None else f"{_duration(max(0.0, end - time.monotonic()))} left")


class _WhereItFits(ProgressColumn):
    """Words that a narrow terminal cuts before it cuts anything else."""

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__(table_column=Column())
        self._words = words

    def render(self, task: Task) -> Text:
        return Text(self._words(task), no_wrap=True, overflow="ellipsis")


def _of_a_teacher(trial: TrialConfig, epochs_done: int) -> str:
    if trial.weights is not None:
        return f"teacher {trial.network}"
    return f"teacher {trial.network}: epoch {epochs_done} of {trial.train.epochs}"


def _rate(epochs_per_second: float) -> str:
    per, seconds = next((unit for unit in (("s", 1), ("min", 60)) if epochs_per_second * unit[1] >= 1), ("h", 3600))
    return f"{epochs_per_second * seconds:.3g} epochs/{per}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
