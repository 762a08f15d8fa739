"""Who watches a study run: the terminal, a test, or nobody.

A contract only: search tells a watcher what happens, and never asks it anything.
"""

from study.config import Stage, TrialConfig
from study.records import TrialReport


class Watcher:
    """Hears what happens to a study; this one does nothing with it."""

    def stage_begins(self, stage: Stage, total: int, done: int, workers: int) -> None:
        """`done` of `total` trials were finished before."""

    def trial_begins(self, trial_id: str, trial: TrialConfig) -> None: ...

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        """Epochs, or the end where the report has a summary."""

    def stage_ends(self, stage: Stage) -> None: ...

    def says(self, message: str) -> None:
        """One line for the person who watches."""
