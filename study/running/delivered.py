"""What sends a study's events: an outbox, and a delivery that compares the server with the study's journal.

Works on a study's folder and two addresses. Knows nothing of how a study runs.
"""

import threading
from collections.abc import Callable, Sequence

from study.running.ended_runs import epochs_of, read_ended_runs
from study.storage import Ownership, StudyFolder
from study.tracking.client import TrackingClient
from study.tracking.delivery import Delivery
from study.tracking.ended import EndedRun, read_parent
from study.tracking.events import Event
from study.tracking.outbox import Outbox


def delivery_of(
    folder: StudyFolder, owner: Ownership | None, tracking_uri: str, journal: str, says: Callable[[str], None]
) -> Delivery:
    """A study's delivery, which reads the journal by a connection of its own: it runs on the outbox's thread."""

    def parent() -> Sequence[Event]:
        record = read_parent(folder.parent_record)
        return record.events() if record is not None else ()

    def ended() -> list[EndedRun]:
        return read_ended_runs(journal, folder.name)

    client = TrackingClient(tracking_uri, folder.name, owner, parent, says)
    return Delivery(client, ended, lambda run: epochs_of(run, folder.root), says)


def opened_outbox(folder: StudyFolder, delivery: Delivery, says: Callable[[str], None]) -> Outbox:
    """A study's outbox, whose thread delivers from now on."""
    outbox = Outbox(folder.outbox, delivery, says)
    delivery.waiting, delivery.answered = lambda: outbox.waiting, outbox.answered
    return outbox


class HeldLines:
    """Takes lines for the user and holds them until it is clear whether a new study begins.

    A start that the tracking server refuses ends with one line, its error. Then the held lines are dropped: they say
    that the study continues, which it does not.

    Args:
        says: takes the lines.
        held: False for a study that exists already; its lines are passed on at once.
    """

    def __init__(self, says: Callable[[str], None], held: bool) -> None:
        self._says, self._held = says, held
        self._lines: list[str] = []
        self._lock = threading.Lock()  # the outbox's thread calls it too

    def __call__(self, line: str) -> None:
        with self._lock:
            if self._held:
                self._lines.append(line)
            else:
                self._says(line)

    def release(self) -> None:
        """Pass on the held lines, and from now on every line at once."""
        with self._lock:
            self._held = False
            for line in self._lines:
                self._says(line)
            self._lines.clear()
