"""What sends a study's events: an outbox, and a delivery that compares the server with the study's journal.

Works on a study's folder and two addresses. Knows nothing of how a study runs.
"""

import threading
from collections.abc import Callable, Sequence

from study.errors import StudyFailed, Undelivered, UserError
from study.running.ended_runs import epochs_of, read_ended_runs
from study.storage import Ownership, StudyFolder
from study.tracking.client import TrackingClient
from study.tracking.delivery import Delivery
from study.tracking.ended import EndedRun, keep_parent, read_parent
from study.tracking.events import Event, StudyEnded, StudyStatus, now_ms
from study.tracking.outbox import Outbox

PATIENCE = 60.0
"""How long to wait for a tracking server that does not answer, in seconds: at the end of a study, and at the start of a
new one."""

SHORT_PATIENCE = 2.0
"""The same for a study that failed or was interrupted."""


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


def end_tracking(outbox: Outbox, status: StudyStatus | None, folder: StudyFolder, says: Callable[[str], None]) -> None:
    """Track how the study ended, and send everything. If the study stopped early, its own error is reported instead.

    Without a status the start stopped before its begin was tracked, so its end is not tracked either.
    """
    try:
        try:
            if status is not None:
                ended = StudyEnded(status=status, timestamp_ms=now_ms())
                if folder.exists():
                    keep_parent(folder.parent_record, ended)
                outbox.put(ended)
        finally:
            send_all(outbox, PATIENCE if status == "FINISHED" else SHORT_PATIENCE, folder)
    except Undelivered as error:
        if status == "FINISHED":
            raise
        if folder.exists():  # a start that was refused leaves no folder
            says(str(error))
    except UserError as error:
        # The disk is full. If the study stopped early, that is why; the next resume tracks the end.
        if status == "FINISHED":
            raise StudyFailed(str(error)) from None


def send_all(outbox: Outbox, patience: float, folder: StudyFolder) -> None:
    """Send the events that wait.

    Raises:
        Undelivered: some events were not sent.
        UserError: the outbox's file cannot be used (a full disk).
    """
    if left := outbox.close(patience):
        waiting, them = ("1 event waits", "it") if left == 1 else (f"{left} events wait", "them")
        raise Undelivered(
            f"{outbox.trouble or 'the tracking server is slow'}; {waiting} in {folder.outbox}; "
            f"send {them} with: noisy-study sync {folder.name}"
        )


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
