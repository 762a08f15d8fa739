"""Who watches a study run: the terminal, a test, or nobody.

A contract only: search tells a watcher what happens, and never asks it anything.
"""

from study.config import TrialConfig
from study.records import TrialReport


class Watcher:
    """Hears what happens to a study; this one does nothing with it."""

    def stage_begins(self, name: str, total: int, done: int, workers: int) -> None:
        """`done` of `total` trials were finished before; a study has one stage of a name."""

    def trial_begins(self, name: str, trial_id: str, trial: TrialConfig) -> None: ...

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        """Epochs, or the end where the report has a summary."""

    def stage_ends(self, name: str) -> None: ...

    def says(self, message: str) -> None:
        """One line for the person who watches."""
