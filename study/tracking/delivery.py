"""Delivers events, and makes sure that the tracking server has every trial that ended.

Works on a `TrackingClient` and on functions that read what the study's journal and folder have. Nothing that the server
once confirmed is taken on trust: a backup may have been restored, or a run deleted. At the first delivery of a process,
after every outage and before a study is FINISHED, the ended trials are compared with the runs on the server, and
delivered again where they are missing.
"""

from collections.abc import Callable, Sequence

from study.errors import TrackingUnavailable, UserError
from study.records import EpochRecord
from study.tracking.client import TrackingClient
from study.tracking.ended import EndedRun
from study.tracking.events import Event, StudyEnded


class Delivery:
    """What an outbox calls with events.

    Args:
        client: writes to the server.
        ended: reads the runs that have ended from the journal. It is called from the outbox's thread.
        epochs: reads the epochs of such a run.
        says: takes a line when runs are delivered again.

    Attributes:
        client: as given.
        waiting: how many events the outbox holds, those of this delivery included. While there are more, nothing is
            compared, because what is missing may be among them.
        answered: is called when the server has answered.
        again: how many events were delivered again.
        is_checked: whether the server has had every ended run since the last outage.
    """

    def __init__(
        self,
        client: TrackingClient,
        ended: Callable[[], Sequence[EndedRun]],
        epochs: Callable[[EndedRun], tuple[EpochRecord, ...]],
        says: Callable[[str], None],
    ) -> None:
        self.client, self._ended, self._epochs, self._says = client, ended, epochs, says
        self.waiting: Callable[[], float] = lambda: float("inf")
        self.answered: Callable[[], None] = lambda: None
        self.again = 0
        self.is_checked = False

    def __call__(self, events: Sequence[Event]) -> None:
        """Deliver events in their order.

        Raises:
            TrackingUnavailable, UserError: as `TrackingClient.apply`.
        """
        finish = next((place for place, event in enumerate(events) if _finishes(event)), len(events))
        try:
            if events[:finish]:
                self.client.apply(events[:finish])
            if finish < len(events) or (not self.is_checked and self.waiting() <= len(events)):
                ended = self._ended()
                # A trial that ended while the journal was read has put its events into the outbox before.
                if finish < len(events) or self.waiting() <= len(events):
                    self._deliver_missing(ended)
            if events[finish:]:
                self.client.apply(events[finish:])
        except TrackingUnavailable:
            self.is_checked = False
            raise

    def check(self) -> None:
        """Compare the ended trials with the runs on the server, and deliver again what is missing.

        Raises:
            TrackingUnavailable: the server does not answer.
            UserError: it refuses, or runs are missing after they were delivered again.
        """
        self._deliver_missing(self._ended())

    def _deliver_missing(self, ended: Sequence[EndedRun]) -> None:
        missing = self.client.missing(ended)
        if missing:
            self._says(f"{_missing(missing)}; delivering again")
            for run in missing:
                events = run.events(self._epochs(run))
                self.client.apply(events)
                self.answered()
                self.again += len(events)
            if left := self.client.missing(missing):
                raise UserError(
                    f"{_missing(left)}, although it accepted what was delivered again; check its database, then resume "
                    "the study"
                )
        self.is_checked = True


def _finishes(event: Event) -> bool:
    return isinstance(event, StudyEnded) and event.status == "FINISHED"


def _missing(runs: Sequence[EndedRun]) -> str:
    names = ", ".join(run.began.trial_id for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
    if len(runs) == 1:
        return f"1 trial that ended ({names}) is missing from the tracking server or differs there"
    return f"{len(runs)} trials that ended ({names}) are missing from the tracking server or differ there"
