"""What a signal becomes, in a process of its own: a shutdown that hangs would end the one that asks."""

import subprocess
import sys

import pytest

SWALLOWED = """
import signal
import sys
from contextlib import suppress

from study.interrupts import INTERRUPTED, interruptible

try:
    with interruptible(str), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
"""


def test_swallowed_interrupt_is_raised_again() -> None:
    """An interrupt that a library takes for its own is raised all the same."""
    ran = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (130, "")


RAISED = """
import signal
import sys

if sys.argv[2] == "ignored":
    signal.signal(signal.Signals[sys.argv[1]], signal.SIG_IGN)
from study.interrupts import INTERRUPTED, interruptible

try:
    with interruptible(str):
        signal.raise_signal(signal.Signals[sys.argv[1]])
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("how", "status"), [("once", 130), ("ignored", 0)])
def test_signal_interrupts_unless_it_is_ignored(name: str, how: str, status: int) -> None:
    """`nohup` starts a program with SIGHUP ignored, and a shell starts one in the background with SIGINT ignored."""
    command = [sys.executable, "-c", RAISED, name, how]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (status, "")


NOWHERE = """
import signal
import sys

from study.interrupts import INTERRUPTED, interruptible, is_interrupted


class Finalised:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


try:
    with interruptible(str):
        if sys.argv[1] == "ray":
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        Finalised()
        is_interrupted(within=60)  # a thread notices it
        print("continues")
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
"""


@pytest.mark.parametrize("handler", ["ours", "ray"])
def test_signal_during_a_finaliser_prints_nothing(handler: str) -> None:
    """Python drops what a finaliser raises, and what runs when a process forks. Ray's handler raises SystemExit."""
    command = [sys.executable, "-c", NOWHERE, handler]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "continues\n", "")


FINALISER = """
from study.interrupts import interruptible


class Finalised:
    def __del__(self) -> None:
        raise ValueError("a bug")


with interruptible(str):
    Finalised()
"""


def test_an_error_of_a_finaliser_is_still_shown() -> None:
    ran = subprocess.run([sys.executable, "-c", FINALISER], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0
    assert ran.stderr.endswith("ValueError: a bug\n")


TWO_AT_ONCE = """
import os
import signal
import sys

from study.interrupts import INTERRUPTED, interruptible

try:
    with interruptible(str):
        os.kill(os.getpid(), signal.SIGTERM)
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    print("shut down", flush=True)
    sys.exit(INTERRUPTED)
"""


def test_two_signals_at_once_are_one_request() -> None:
    """GNU `timeout` sends SIGTERM to its child and then to the group, which the child is in too."""
    ran = subprocess.run([sys.executable, "-c", TWO_AT_ONCE], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "shut down\n", "")


BUSY = """
import hashlib
import os
import signal
import threading
import time

from study import interrupts

interrupts.PATIENCE = 0.5
clock = time.pthread_getcpuclockid(threading.main_thread().ident)


def interrupt_once_it_computes():
    before = time.clock_gettime(clock)
    while time.clock_gettime(clock) < before + 0.3:
        threading.Event().wait(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


with interrupts.interruptible(lambda: "interrupted"):
    threading.Thread(target=interrupt_once_it_computes, daemon=True).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_signal_ends_a_process_that_is_busy_in_a_library() -> None:
    """Python raises nothing while the main thread is in a library, here for many minutes."""
    ran = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (130, "interrupted\n")
