"""The outbox: events for the tracking server, first on disk, then sent in order beside the training.

Works on events, a file and a function that sends some of them. `put` returns as soon as the event is on disk. A thread
sends the events, and retries while the server is unavailable. Events that were not sent are there for the next process.
Knows nothing of MLflow. An event leaves the file after it was sent, so a crash in between sends it again;
`TrackingClient` handles that.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from study.errors import StorageFull, TrackingUnavailable, UserError
from study.tracking.events import Event, RunEnded, StudyEnded, parse_event

BATCH = 200
"""How many events are sent together, at most."""

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's codes for a file that is no database, or no whole one."""

COUNT = "SELECT COUNT(*) FROM event"

LONGEST_WAIT = 8.0
"""The longest time between two attempts, in seconds."""


def events_in(file: Path) -> int | None:
    """How many events wait in the outbox of a study that no process runs; None if the file cannot be read.

    The file is opened for writing: a killed study leaves a log beside it, which is written into it first.
    """
    if not file.exists():
        return 0
    try:
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            return int(database.execute(COUNT).fetchone()[0])
    except sqlite3.Error:
        return None


class Outbox:
    """The events of one study that the tracking server does not have yet.

    Args:
        file: where they wait, a SQLite database.
        deliver: sends events in their order. It raises `TrackingUnavailable` where a retry may succeed, and `UserError`
            where the server refuses. After a refusal nothing more is sent by this process.
        says: takes one line when the server stops answering or refuses, and one when it answers again.
        pause: seconds in which events gather before they are sent together.

    Attributes:
        found: how many events an earlier process left in the file.

    Raises:
        StorageFull: the disk is full; the message names the file. Also from `put` and `close`.
        UserError: the file cannot be used; the message names it. Also from `put` and `close`.
    """

    def __init__(
        self,
        file: Path,
        deliver: Callable[[Sequence[Event]], None],
        says: Callable[[str], None],
        pause: float = 1.0,
    ) -> None:
        self._file, self._deliver, self._says, self._pause = file, deliver, says, pause
        self._changed = threading.Condition()
        self._patience: float | None = None  # seconds; None until it is closed
        self._answered_at = time.monotonic()
        self._trouble: str | None = None
        self._refused = False
        self._error: Exception | None = None  # what ended the thread: its file, or a mistake in our code
        self._stopped = False
        try:
            try:
                self._database, self.found = self._opened()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) not in DAMAGED:
                    raise
                self._set_file_aside()
                self._database, self.found = self._opened()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None
        self._waiting = self.found
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many events have not been sent."""
        return self._waiting

    @property
    def trouble(self) -> str | None:
        """Why the last attempt failed; None where it did not."""
        return self._trouble

    @property
    def refused(self) -> bool:
        """Whether the server refused; then this process sends nothing more."""
        return self._refused

    def answered(self) -> None:
        """Note that the server has answered just now, so that a long delivery is not taken for an outage."""
        self._answered_at = time.monotonic()

    def put(self, event: Event) -> None:
        """Write an event to the disk; it is sent after all events before it."""
        with self._changed:
            try:
                # Epochs are in their trial's checkpoint too. An end must survive a power cut: the journal gets it
                # next, and after that the end is not reported again.
                is_end = isinstance(event, RunEnded | StudyEnded)
                self._database.execute(f"PRAGMA synchronous = {'FULL' if is_end else 'NORMAL'}")
                with self._database:
                    self._database.execute("INSERT INTO event (body) VALUES (?)", (event.model_dump_json(),))
            except sqlite3.Error as error:
                raise self._unusable(error) from None
            self._waiting += 1
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until everything is sent, an attempt failed, or the time is over.

        Returns:
            whether everything is sent.
        """
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting == 0 or self._trouble or self._stopped, seconds)
            return self._waiting == 0

    def close(self, patience: float) -> int:
        """Send what is left, as long as the server answers.

        Args:
            patience: seconds to wait for a server that does not.

        Returns:
            how many events still wait in the file.
        """
        with self._changed:
            self._patience, self._answered_at = patience, time.monotonic()
            self._changed.notify_all()
            # A request that hangs is left with its thread: its events are still in the file.
            while not self._stopped and time.monotonic() - self._answered_at < patience + 1:
                self._changed.wait(0.2)
            if self._stopped:
                self._database.close()
            if self._error is not None:
                raise self._error
            return self._waiting

    def _opened(self) -> tuple[sqlite3.Connection, int]:
        """The file's database, and how many events it holds."""
        database = sqlite3.connect(self._file, timeout=60, check_same_thread=False)
        try:
            database.text_factory = bytes  # a damaged row need not be text
            # One process has it, so that the log beside it needs no shared memory, which network drives lack.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            with database:
                database.execute("CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, body TEXT)")
            return database, int(database.execute(COUNT).fetchone()[0])
        except sqlite3.Error:
            database.close()
            raise

    def _set_file_aside(self) -> None:
        """Move a damaged file away. The comparison with the journal finds what the tracking server does not have."""
        aside = self._file.with_name(f"{self._file.name}.damaged")
        os.replace(self._file, aside)
        for log in ("-wal", "-shm"):
            self._file.with_name(self._file.name + log).unlink(missing_ok=True)
        self._says(f"{self._file}: the file is damaged; it is now {aside}, and a new one is used")

    def _events(self, rows: Sequence[tuple[int, bytes]]) -> list[Event]:
        """The events of rows. A row that is no event is moved to a file, so that it does not block those after it."""
        events: list[Event] = []
        for number, body in rows:
            try:
                events.append(parse_event(body))
            except (ValidationError, TypeError, UnicodeError):
                self._set_row_aside(number, body)
        return events

    def _set_row_aside(self, number: int, body: object) -> None:
        aside = self._file.with_name(f"{self._file.name}.damaged-rows")
        with open(aside, "ab") as file:
            file.write((body if isinstance(body, bytes) else repr(body).encode()) + b"\n")
        with self._changed:
            with self._database:
                self._database.execute("DELETE FROM event WHERE number = ?", (number,))
            self._waiting -= 1
            self._changed.notify_all()
        self._says(f"{self._file}: row {number} is damaged; it was moved to {aside}")

    # --------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        failures = 0
        try:
            while self._has_work() and not self._refused:
                failures = 0 if self._attempt() else failures + 1
                # Epochs gather for a moment, so that a run's metrics are sent together.
                self._rest(min(2.0 ** (failures - 1), LONGEST_WAIT) if failures else self._pause)
        except sqlite3.Error as error:
            self._error = self._unusable(error)
        except Exception as error:  # noqa: BLE001 - raised again by `close`, in the main thread
            self._error = error
            self._says(f"nothing more is sent from {self._file} until the study ends: {type(error).__name__}")
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _has_work(self) -> bool:
        """Wait until there is something to send; False when everything is sent, or the patience is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._patience is not None)
            if not self._waiting or self._patience is None or self._trouble is None:
                return self._waiting > 0
            return time.monotonic() - self._answered_at < self._patience

    def _rest(self, seconds: float) -> None:
        with self._changed:
            if self._patience is None:
                self._changed.wait_for(lambda: self._patience is not None, seconds)
            elif self._trouble is not None:
                self._changed.wait_for(lambda: False, min(seconds, 1.0, self._patience))

    def _attempt(self) -> bool:
        """Send the oldest events; whether that succeeded."""
        with self._changed:
            rows = self._database.execute("SELECT number, body FROM event ORDER BY number LIMIT ?", (BATCH,)).fetchall()
        before = self._trouble
        if not (events := self._events(rows)):
            return True
        try:
            self._deliver(events)
        except UserError as error:  # TrackingUnavailable is one too
            with self._changed:
                self._trouble, self._refused = str(error), not isinstance(error, TrackingUnavailable)
                self._changed.notify_all()
            if self._refused:
                self._says(f"{error}; this is not retried: the study continues, and its events wait in {self._file}")
            elif before is None:
                self._says(f"{error}; the study continues, and its events wait in {self._file}")
            return False
        with self._changed:
            with self._database:
                self._database.execute("DELETE FROM event WHERE number <= ?", (rows[-1][0],))
            self._waiting -= len(events)
            self._answered_at, self._trouble = time.monotonic(), None
            self._changed.notify_all()
        if before is not None:
            self._says("the tracking server answers again; the events that waited are being sent")
        return True

    def _unusable(self, error: sqlite3.Error | OSError) -> UserError:
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL  # not every error has a code
        kind = StorageFull if is_full else UserError
        return kind(f"{self._file}: events for the tracking server cannot be kept there ({error})")
