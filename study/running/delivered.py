"""What sends a study's events: an outbox, and a delivery that compares the server with the study's journal.

Works on a study's folder and two addresses. Knows nothing of how a study runs.
"""

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
