"""The end of a study's tracking: what is said about events that the tracking server does not have."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from study.errors import TrackingUnavailable, Undelivered
from study.running.delivered import send_all
from study.storage import StudyFolder
from study.tracking.events import Event, StudyEnded
from study.tracking.outbox import Outbox


@pytest.mark.parametrize(("events", "said"), [(1, "1 event waits in"), (2, "2 events wait in")])
def test_events_that_wait_are_counted_in_plain_english(tmp_path: Path, events: int, said: str) -> None:
    def no_server(_: Sequence[Event]) -> None:
        raise TrackingUnavailable("the tracking server does not answer")

    folder = StudyFolder(tmp_path, "mine")
    outbox = Outbox(tmp_path / "outbox.db", no_server, lambda _: None)
    for number in range(events):
        outbox.put(StudyEnded(status="FINISHED", timestamp_ms=number))
    with pytest.raises(Undelivered, match=f"; {said} .* with: noisy-study sync mine$"):
        send_all(outbox, 0.0, folder)
