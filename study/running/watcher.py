"""The interface for watching a study: the terminal or a test implements it.

The running code calls a watcher when something happens, and uses nothing that it returns.
"""

from study.config import TrialConfig
from study.records import TrialReport


class Watcher:
    """Is called when something happens in a study. This one does nothing."""

    def stage_begins(self, name: str, total: int, done: int, workers: int) -> None:
        """A stage begins; `done` of its `total` trials ended in an earlier run. Its name is unique in the study."""

    def trial_begins(self, name: str, trial_id: str, trial: TrialConfig) -> None: ...

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        """New epochs of a trial; also its end, if the report has a summary."""

    def stage_ends(self, name: str) -> None: ...

    def says(self, message: str) -> None:
        """One line for the user."""
