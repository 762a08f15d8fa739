"""What a signal becomes, in a process of its own: a wind-down that hangs would end the one that asks."""

import subprocess
import sys

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
