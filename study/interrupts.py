"""Ctrl-C, SIGTERM and SIGHUP as one thing: the first raises `KeyboardInterrupt`, a later one ends the process at once.

Knows nothing of what is interrupted. A shutdown that hangs is stopped. A signal that was ignored when the process
started stays ignored: `nohup` ignores SIGHUP, and a shell ignores SIGINT for a program in the background.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""The exit status."""
PATIENCE = 8.0
"""Seconds that whatever was interrupted may take to shut down."""
TOGETHER = 1.0
"""Seconds in which several signals are one request. `timeout` sends two. A closing terminal and its shell do too."""

_interrupted = threading.Event()


def taken_signals() -> tuple[signal.Signals, ...]:
    """Those of `SIGNALS` that this process does not ignore."""
    return tuple(each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN)


def is_interrupted(within: float = 0.0) -> bool:
    """Whether a signal has come, or comes within this many seconds. Works on any thread but the main one."""
    return _interrupted.wait(within)


@contextmanager
def interruptible(farewell: Callable[[], str]) -> Iterator[None]:
    """Take the signals for the length of the block; for the main thread.

    Args:
        farewell: one line for standard error, asked for only where the shutdown hangs.
    """
    _interrupted.clear()
    taken = taken_signals()

    def first(number: int, frame: FrameType | None) -> None:
        if _interrupted.is_set():  # a second one before the handlers below are in place
            return
        _interrupted.set()
        _end_at_a_later_one(taken)
        cut_off = threading.Timer(PATIENCE, lambda: end_at_once(farewell(), INTERRUPTED))
        cut_off.daemon = True
        cut_off.start()
        raise KeyboardInterrupt

    former = {each: signal.signal(each, first) for each in taken}
    try:
        yield
        if _interrupted.is_set():  # a library that was just being imported may have taken the exception for its own
            raise KeyboardInterrupt
    finally:
        if not _interrupted.is_set():  # else the process is about to end, and a second signal stays final
            for each, handler in former.items():
                signal.signal(each, handler)


def _end_at_a_later_one(taken: tuple[signal.Signals, ...]) -> None:
    """Have a later signal end the process.

    Python runs handlers between two steps of the main thread, which may hang in a library until it is stopped. So a
    thread waits for what Python's own handler writes in the moment a signal comes.
    """
    began = time.monotonic()
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    for each in taken:
        signal.signal(each, lambda *_: None)

    def wait() -> None:
        while os.read(reads, 1)[0] not in taken or time.monotonic() - began < TOGETHER:
            continue
        end_at_once("", INTERRUPTED)

    threading.Thread(target=wait, name="waits for a second signal", daemon=True).start()


def end_at_once(line: str, status: int) -> NoReturn:
    """End the process here and now: a line on standard error, the terminal's cursor back, and nothing shut down."""
    if sys.stderr.isatty():
        line = f"\r\x1b[K\x1b[?25h{line}"
    with suppress(OSError):  # a terminal that is closed takes no line
        os.write(2, f"{line}\n".encode() if line else b"")
    os._exit(status)
