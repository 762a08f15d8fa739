"""The live display of a running study: trials done of all, the best so far, the time left.

Works on what a `Watcher` hears. Knows nothing of what runs the trials. On anything but a terminal it draws nothing.
"""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from study.config import Stage, StudyConfig, TrialConfig
from study.records import TrialReport
from study.search import plan
from study.search.watcher import Watcher
from study.tracking.names import run_name

STAGE_WORDS = {"teacher": "teachers", "grid": "grid", "search": "search", "confirm": "confirmation"}


class TerminalProgress(Watcher):
    """Draws one line on a terminal; use as a context manager.

    Args:
        config: the study.
        console: where to.
        lines: also print a line for every trial that ends, for a log that somebody follows.

    The time left is that of the epochs left at the pace of the students' epochs so far; teachers have a pace of
    their own and are left out of it.
    """

    def __init__(self, config: StudyConfig, console: Console, lines: bool = False) -> None:
        self._console, self._lines = console, lines
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[best]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._sizes = _stage_sizes(config)
        self._data = config.data.name
        self._epochs_per_trial = config.train.epochs
        self._begun: float | None = None
        self._done_before: dict[Stage, int] = {}
        self._epochs: dict[str, int] = {}
        self._epochs_before: dict[str, int] = {}  # of trials taken up again: trained before this session
        self._ended: set[str] = set()
        self._best: tuple[float, str] | None = None

    def __enter__(self) -> "TerminalProgress":
        self._progress.start()
        self._task = self._progress.add_task(f"loading {self._data}", total=sum(self._sizes.values()), best="", left="")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage_begins(self, stage: Stage, total: int, done: int, workers: int) -> None:
        if stage != "teacher":  # which comes level by level, and whose trainings are known beforehand
            self._sizes[stage] = total
        if stage != "teacher" and self._begun is None:
            self._begun = time.monotonic()
        self._done_before[stage] = done
        self._show(description=STAGE_WORDS[stage])

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        if trial.stage != "teacher" and report.epochs:
            self._epochs_before.setdefault(trial_id, report.epochs[0].epoch - 1 + len(report.epochs[:-1]))
            self._epochs[trial_id] = report.epochs[-1].epoch
        if report.summary is not None:
            self._ended.add(trial_id)
            if self._lines:
                error = report.summary.best_val_error
                how = report.summary.outcome if error is None else f"{report.summary.outcome}, {error:.2%}"
                self.says(f"{trial_id} ({run_name(trial)}): {how}")
            if trial.stage != "teacher":
                self._epochs[trial_id] = trial.train.epochs
                error = report.summary.best_val_error
                if error is not None and (self._best is None or error < self._best[0]):
                    self._best = (error, run_name(trial))
        words = STAGE_WORDS[trial.stage]
        if trial.stage == "teacher" and report.epochs and report.summary is None:
            last = report.epochs[-1]
            words = f"teacher {trial.network}: epoch {last.epoch} of {trial.train.epochs}, {last.val_error:.2%}"
        self._show(description=words)

    def says(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    def seconds_left(self) -> float | None:
        """Estimated seconds until the last trial ends; None before there is anything to go by."""
        done = sum(self._epochs.values()) - sum(self._epochs_before.values())
        if self._begun is None or done == 0:
            return None
        pace = (time.monotonic() - self._begun) / done
        trials_left = sum(size for stage, size in self._sizes.items() if stage != "teacher")
        trials_left -= sum(count for stage, count in self._done_before.items() if stage != "teacher")
        trials_left -= len(self._epochs)
        under_way = sum(self._epochs_per_trial - epochs for epochs in self._epochs.values())
        return max(0.0, pace * (trials_left * self._epochs_per_trial + under_way))

    def _show(self, description: str) -> None:
        if self._task is None:
            return
        left = self.seconds_left()
        self._progress.update(
            self._task,
            description=description,
            total=sum(self._sizes.values()),
            completed=sum(self._done_before.values()) + len(self._ended),
            best="" if self._best is None else f"best {self._best[0]:.2%} ({self._best[1]})",
            left="" if left is None else f"{_duration(left)} left",
        )


def _stage_sizes(config: StudyConfig) -> dict[Stage, int]:
    """How many trials each stage will have, as far as the study file tells."""
    sizes: dict[Stage, int] = {"teacher": len(plan.teacher_trials(config)), "grid": len(plan.grid_trials(config))}
    if config.search is not None:
        seeds = len(plan.confirmation_seeds(config))
        sizes["search"] = config.search.trials
        sizes["confirm"] = seeds * (min(config.search.confirm.top, config.search.trials) + (0 if config.arms else 1))
    return sizes


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
