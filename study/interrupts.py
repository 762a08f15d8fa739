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

    def second(number: int, frame: FrameType | None) -> None:
        end_at_once("", INTERRUPTED)

    def first(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        for each in SIGNALS:
            signal.signal(each, second)
        cut_off = threading.Timer(PATIENCE, lambda: end_at_once(farewell(), INTERRUPTED))
        cut_off.daemon = True
        cut_off.start()
        raise KeyboardInterrupt

    former = {each: signal.signal(each, first) for each in SIGNALS}
    try:
        yield
    finally:
        if not interrupted:  # else the process is on its way out, and a second signal stays final
            for each, handler in former.items():
                signal.signal(each, handler)


def end_at_once(line: str, status: int) -> NoReturn:
    """End the process here and now: a line on standard error, the terminal's cursor back, and nothing wound down."""
    if sys.stderr.isatty():
        line = f"\r\x1b[K\x1b[?25h{line}"
    os.write(2, f"{line}\n".encode() if line else b"")
    os._exit(status)
