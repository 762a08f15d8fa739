"""The outbox: what the tracking server is to hear, on disk first, delivered in order beside the training.

Works on events, a file and a function that delivers some of them. Whoever puts an event goes on at once; a thread
delivers, and waits where the server does not answer. What was not delivered is there for the next process. Knows
nothing of MLflow: an event leaves the file after it was delivered, so a crash in between delivers it again, which
`TrackingClient` bears.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from study.errors import UserError
from study.tracking.events import Event, RunEnded, StudyEnded, parse_event

BATCH = 200
"""How many events are delivered at once at most."""

LONGEST_WAIT = 8.0
"""Seconds between two attempts at a server that has not answered for a while."""


class Outbox:
    """Events of one study on their way.

    Args:
        file: where they wait, a SQLite database.
        deliver: takes events in their order; raises `UserError` where they did not arrive.
        says: hears one line when the server stops answering, and one when it answers again.
        pause: seconds in which events gather before they are delivered together.

    Attributes:
        found: how many events an earlier process had left in the file.

    Raises:
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
        self._error: Exception | None = None  # what ended the thread: its file, or a mistake of ours
        self._stopped = False
        try:
            self._database = sqlite3.connect(file, timeout=60, check_same_thread=False)
            # One process has it, so that the log beside it needs no shared memory, which network drives lack.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            with self._database:
                self._database.execute("CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, body TEXT)")
            self.found = int(self._database.execute("SELECT COUNT(*) FROM event").fetchone()[0])
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        self._waiting = self.found
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many events have not been delivered."""
        return self._waiting

    @property
    def trouble(self) -> str | None:
        """Why the last attempt failed; None where it did not."""
        return self._trouble

    def put(self, event: Event) -> None:
        """Bring an event to the disk; it is delivered after all that came before it."""
        with self._changed:
            try:
                # Epochs are in their trial's checkpoint too. An end must outlive a power cut: the journal hears of it
                # next, and would not say it again.
                is_end = isinstance(event, RunEnded | StudyEnded)
                self._database.execute(f"PRAGMA synchronous = {'FULL' if is_end else 'NORMAL'}")
                with self._database:
                    self._database.execute("INSERT INTO event (body) VALUES (?)", (event.model_dump_json(),))
            except sqlite3.Error as error:
                raise self._unusable(error) from None
            self._waiting += 1
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until everything has arrived, an attempt failed, or the time is over.

        Returns:
            whether everything has arrived.
        """
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting == 0 or self._trouble or self._stopped, seconds)
            return self._waiting == 0

    def close(self, patience: float) -> int:
        """Deliver what is left, as long as the server answers.

        Args:
            patience: seconds to wait for a server that does not.

        Returns:
            how many events still wait in the file.
        """
        with self._changed:
            self._patience, self._answered_at = patience, time.monotonic()
            self._changed.notify_all()
            # A delivery that hangs is left behind with its thread: what it was about is still in the file.
            while not self._stopped and time.monotonic() - self._answered_at < patience + 1:
                self._changed.wait(0.2)
            if self._stopped:
                self._database.close()
            if self._error is not None:
                raise self._error
            return self._waiting

    # --------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        failures = 0
        try:
            while self._has_work():
                failures = 0 if self._attempt() else failures + 1
                # Epochs gather for a moment, so that a run's metrics are sent together.
                self._rest(min(2.0 ** (failures - 1), LONGEST_WAIT) if failures else self._pause)
        except sqlite3.Error as error:
            self._error = self._unusable(error)
        except Exception as error:  # noqa: BLE001 - raised again by `close`, in the thread that can bear it
            self._error = error
            self._says(f"nothing more is delivered from {self._file} until the study ends: {type(error).__name__}")
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _has_work(self) -> bool:
        """Wait until there is something to attempt; False when there is nothing any more, or no patience for it."""
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
        """Deliver the oldest events; whether they arrived."""
        with self._changed:
            rows = self._database.execute("SELECT number, body FROM event ORDER BY number LIMIT ?", (BATCH,)).fetchall()
        before = self._trouble
        try:
            self._deliver([parse_event(body) for _, body in rows])
        except UserError as error:
            with self._changed:
                self._trouble = str(error)
                self._changed.notify_all()
            if before is None:
                self._says(f"{error}; the study goes on, and what the server is to hear waits in {self._file}")
            return False
        with self._changed:
            with self._database:
                self._database.execute("DELETE FROM event WHERE number <= ?", (rows[-1][0],))
            self._waiting -= len(rows)
            self._answered_at, self._trouble = time.monotonic(), None
            self._changed.notify_all()
        if before is not None:
            self._says("the tracking server answers again; what waited is being delivered")
        return True

    def _unusable(self, error: sqlite3.Error) -> UserError:
        return UserError(f"{self._file}: what the tracking server is to hear cannot be kept there ({error})")
