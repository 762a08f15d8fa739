"""A student that sleeps for a second instead of training, for `benchmarks.ten_thousand`.

A module of its own, because workers import it by its name.
"""

import time
from typing import Any

from benchmarks.ten_thousand import SECONDS
from benchmarks.untrained import Untrained


class Sleeping(Untrained):
    """The study's own trainable: it trains teachers. A student sleeps, and its one epoch is made up."""

    def step(self) -> dict[str, Any]:
        if self._job.trial.stage != "teacher":
            time.sleep(SECONDS)
        return super().step()
