"""Ctrl-C and SIGTERM as one thing: the first raises `KeyboardInterrupt`, a second ends the process at once.

Knows nothing of what is interrupted. A wind-down that hangs is cut off.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""The exit status."""
PATIENCE = 8.0
"""Seconds that whatever was interrupted may take to wind down."""


@contextmanager
def interruptible(farewell: Callable[[], str]) -> Iterator[None]:
    """Take both signals for the length of the block; for the main thread.

    Args:
        farewell: one line for standard error, asked for only where the wind-down is cut off.
    """
    interrupted = False

    def first(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        _end_at_the_next()
        cut_off = threading.Timer(PATIENCE, lambda: end_at_once(farewell(), INTERRUPTED))
        cut_off.daemon = True
        cut_off.start()
        raise KeyboardInterrupt

    former = {each: signal.signal(each, first) for each in SIGNALS}
    try:
        yield
        if interrupted:  # a library that was just being imported may have taken the exception for its own
            raise KeyboardInterrupt
    finally:
        if not interrupted:  # else the process is on its way out, and a second signal stays final
            for each, handler in former.items():
                signal.signal(each, handler)


def _end_at_the_next() -> None:
    """Have the next of the signals end the process.

    Python runs handlers between two steps of the main thread, which may hang in a library until it is cut off. So a
    thread waits for what Python's own handler writes in the moment a signal comes.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for each in SIGNALS:
        signal.signal(each, lambda *_: None)

    def wait() -> None:
        while os.read(heard, 1)[0] not in SIGNALS:
            continue
        end_at_once("", INTERRUPTED)

    threading.Thread(target=wait, name="waits for a second signal", daemon=True).start()


def end_at_once(line: str, status: int) -> NoReturn:
    """End the process here and now: a line on standard error, the terminal's cursor back, and nothing wound down."""
    if sys.stderr.isatty():
        line = f"\r\x1b[K\x1b[?25h{line}"
    os.write(2, f"{line}\n".encode() if line else b"")
    os._exit(status)
