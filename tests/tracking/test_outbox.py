"""What waits for the tracking server: on disk, in order, each event delivered, whatever fails in between."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.full_disk import full_disk

from study.errors import TrackingUnavailable, UserError
from study.tracking.events import Event, StudyEnded, parse_event
from study.tracking.outbox import Outbox

LONG = 60.0
"""Seconds that no test comes near."""


def event(number: int) -> StudyEnded:
    return StudyEnded(status="FINISHED", timestamp_ms=number)


class Server:
    """Takes events, or does not answer."""

    def __init__(self, answers: bool = True) -> None:
        self.answers = answers
        self.heard: list[int] = []
        self.attempted = threading.Event()

    def __call__(self, events: Sequence[Event]) -> None:
        try:
            if not self.answers:
                raise TrackingUnavailable("the tracking server does not answer")
            self.heard += [each.timestamp_ms for each in events if isinstance(each, StudyEnded)]
        finally:
            self.attempted.set()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def opened(tmp_path: Path, said: list[str]) -> Callable[[Server], Outbox]:
    return lambda server: Outbox(tmp_path / "outbox.db", server, said.append, pause=0.0)


def test_events_arrive_in_their_order_and_leave_nothing(opened: Callable[[Server], Outbox], said: list[str]) -> None:
    server = Server()
    outbox = opened(server)
    for number in range(500):
        outbox.put(event(number))
    assert outbox.close(LONG) == 0
    assert server.heard == list(range(500))
    assert said == []
    assert opened(Server()).found == 0


def test_putting_never_waits_for_the_server(opened: Callable[[Server], Outbox]) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Hanging(Server):
        def __call__(self, events: Sequence[Event]) -> None:
            asked.set()
            assert answer.wait(LONG)
            super().__call__(events)

    server = Hanging()
    outbox = opened(server)
    outbox.put(event(0))
    assert asked.wait(LONG)
    for number in range(1, 20):
        outbox.put(event(number))
    answer.set()
    assert outbox.close(LONG) == 0
    assert server.heard == list(range(20))


def test_an_outage_is_said_once_and_nothing_is_lost(opened: Callable[[Server], Outbox], said: list[str]) -> None:
    server = Server(answers=False)
    outbox = opened(server)
    outbox.put(event(0))
    assert server.attempted.wait(LONG)
    outbox.put(event(1))
    server.answers = True
    assert outbox.close(LONG) == 0
    assert server.heard == [0, 1]
    assert len(said) == 2
    assert "does not answer; the study continues" in said[0]
    assert "answers again" in said[1]


def test_a_refusal_is_not_retried(opened: Callable[[Server], Outbox], said: list[str]) -> None:
    attempts: list[int] = []

    def refuses(events: Sequence[Event]) -> None:
        attempts.append(len(events))
        raise UserError("the tracking server refuses")

    outbox = opened(refuses)  # type: ignore[arg-type]
    outbox.put(event(0))
    assert outbox.close(LONG) == 1
    assert attempts == [1]
    assert outbox.trouble == "the tracking server refuses"
    assert len(said) == 1
    server = Server()
    assert opened(server).close(LONG) == 0
    assert server.heard == [0]


def test_what_was_not_delivered_is_there_for_the_next_process(opened: Callable[[Server], Outbox]) -> None:
    away = opened(Server(answers=False))
    for number in range(3):
        away.put(event(number))
    assert away.close(0.0) == 3
    assert away.trouble == "the tracking server does not answer"
    server = Server()
    again = opened(server)
    assert again.found == 3
    again.put(event(3))
    assert again.close(LONG) == 0
    assert server.heard == [0, 1, 2, 3]


def test_a_delivery_that_hangs_does_not_hold_the_end(opened: Callable[[Server], Outbox]) -> None:
    asked, never = threading.Event(), threading.Event()

    def hangs(events: Sequence[Event]) -> None:
        asked.set()
        never.wait(LONG)

    outbox = opened(hangs)  # type: ignore[arg-type]
    outbox.put(event(0))
    assert asked.wait(LONG)
    assert outbox.close(0.0) == 1
    never.set()


def test_settling_tells_whether_all_has_arrived(opened: Callable[[Server], Outbox]) -> None:
    outbox = opened(Server())
    outbox.put(event(0))
    assert outbox.settle(LONG)
    outbox.close(LONG)
    away = opened(Server(answers=False))
    away.put(event(0))
    assert not away.settle(LONG)
    away.close(0.0)


def test_a_mistake_of_ours_is_not_swallowed_by_the_thread(opened: Callable[[Server], Outbox]) -> None:
    def breaks(events: Sequence[Event]) -> None:
        raise ZeroDivisionError

    outbox = opened(breaks)  # type: ignore[arg-type]
    outbox.put(event(0))
    with pytest.raises(ZeroDivisionError):
        outbox.close(LONG)


def test_a_full_disk_is_one_line_with_the_file(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Server(answers=False), lambda _: None)

    def fill() -> None:
        for number in range(10_000):
            outbox.put(event(number))

    with full_disk(room=100_000), pytest.raises(UserError, match=r"outbox\.db: events for the tracking server"):
        fill()
    outbox.close(0.0)


def test_a_damaged_file_is_set_aside_with_a_line(
    opened: Callable[[Server], Outbox], tmp_path: Path, said: list[str]
) -> None:
    damaged = b"something else, and long enough to be looked at" * 100
    (tmp_path / "outbox.db").write_bytes(damaged)
    server = Server()
    outbox = opened(server)
    outbox.put(event(1))
    assert outbox.close(LONG) == 0
    assert server.heard == [1]
    (line,) = said
    assert "outbox.db: the file is damaged" in line
    assert (tmp_path / "outbox.db.damaged").read_bytes() == damaged


@pytest.mark.parametrize("body", ["{", b"\xff\xfe", "", None, 3, '{"event": "unknown"}'])
def test_a_damaged_row_does_not_hold_up_those_after_it(
    opened: Callable[[Server], Outbox], tmp_path: Path, said: list[str], body: object
) -> None:
    away = opened(Server(answers=False))
    for number in range(3):
        away.put(event(number))
    away.close(0.0)
    with sqlite3.connect(tmp_path / "outbox.db") as database:
        database.execute("UPDATE event SET body = ? WHERE number = 2", (body,))
    database.close()
    said.clear()
    server = Server()
    assert opened(server).close(LONG) == 0
    assert server.heard == [0, 2]
    (line,) = said
    assert "row 2 is damaged; it was moved to" in line
    assert (tmp_path / "outbox.db.damaged-rows").exists()


def test_the_file_holds_events_that_can_be_read(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Server(answers=False), lambda _: None)
    outbox.put(event(7))
    outbox.close(0.0)
    ((body,),) = sqlite3.connect(tmp_path / "outbox.db").execute("SELECT body FROM event").fetchall()
    assert parse_event(body) == event(7)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=6))
def test_whatever_the_outages_every_event_arrives_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[bool, int]]
) -> None:
    file, heard, put = tmp_path_factory.mktemp("outbox") / "outbox.db", [], 0
    for answers, count in [*lives, (True, 0)]:
        server = Server(answers)
        outbox = Outbox(file, server, lambda _: None, pause=0.0)
        for _ in range(count):
            outbox.put(event(put))
            put += 1
        outbox.close(LONG if answers else 0.0)
        heard += server.heard
    assert heard == list(range(put))
