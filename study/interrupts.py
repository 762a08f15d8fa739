"""Ctrl-C, SIGTERM and SIGHUP as one thing: the first raises `KeyboardInterrupt`, a later one ends the process at once.

Knows nothing of what is interrupted. A shutdown that hangs is stopped. A signal that was ignored when the process
started stays ignored: `nohup` ignores SIGHUP, and a shell ignores SIGINT for a program in the background.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

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

    The time of `PATIENCE` begins when the signal comes. The main thread may be busy in a library, so that Python cannot
    raise `KeyboardInterrupt` yet.

    Args:
        farewell: one line for standard error, asked for only where the shutdown hangs.
    """
    _interrupted.clear()
    taken = taken_signals()
    is_raised = False

    def first(number: int, frame: FrameType | None) -> None:
        nonlocal is_raised
        if not is_raised:
            is_raised = True
            _interrupted.set()
            raise KeyboardInterrupt

    former_hook = sys.unraisablehook

    def show(unraisable: "UnraisableHookArgs") -> None:
        # A signal may come while Python runs a finaliser or forks. What is raised there goes nowhere, and Python would
        # print it. The study then ends at the end of the block or after `PATIENCE`. Ray's handler raises SystemExit.
        if not isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit):
            former_hook(unraisable)

    sys.unraisablehook = show
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    former_fd = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    waits = threading.Thread(
        target=_end_if_it_takes_too_long, args=(reads, taken, farewell), name="waits for signals", daemon=True
    )
    waits.start()
    former = {each: signal.signal(each, first) for each in taken}
    try:
        yield
        if _interrupted.is_set():  # a library that was just being imported may have taken the exception for its own
            raise KeyboardInterrupt
    finally:
        if not _interrupted.is_set():  # else the process is about to end, and a second signal stays final
            for each, handler in former.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(former_fd)
            os.close(writes)
            sys.unraisablehook = former_hook


def _end_if_it_takes_too_long(reads: int, taken: tuple[signal.Signals, ...], farewell: Callable[[], str]) -> None:
    """Wait for a signal, on a thread. Then end the process at a second signal, or when `PATIENCE` is over.

    Python runs handlers between two steps of the main thread, which may hang in a library. So this thread reads what
    Python's own handler writes to a pipe in the moment a signal comes.

    Args:
        reads: the end of the pipe that is read. The thread ends when the other end is closed.
    """
    while (number := os.read(reads, 1)) and number[0] not in taken:
        continue
    if not number:
        os.close(reads)
        return
    _interrupted.set()
    began = time.monotonic()
    while (left := began + PATIENCE - time.monotonic()) > 0:
        if not select.select([reads], [], [], left)[0]:
            continue
        number = os.read(reads, 1)
        if number and number[0] in taken and time.monotonic() - began >= TOGETHER:
            end_at_once("", INTERRUPTED)
    end_at_once(farewell(), INTERRUPTED)


def end_at_once(line: str, status: int) -> NoReturn:
    """End the process here and now: a line on standard error, the terminal's cursor back, and nothing shut down."""
    if sys.stderr.isatty():
        line = f"\r\x1b[K\x1b[?25h{line}"
    with suppress(OSError):  # a terminal that is closed takes no line
        os.write(2, f"{line}\n".encode() if line else b"")
    os._exit(status)
