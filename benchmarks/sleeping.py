"""A student that sleeps for a second instead of training, for `benchmarks.ten_thousand`.

The module has no other import than the service's own, because 16 workers import it at once.
"""

import time
from typing import Any

from benchmarks.untrained import Untrained

SECONDS = 1.0


class Sleeping(Untrained):
    """The study's own trainable: it trains teachers. A student sleeps, and its one epoch is made up."""

    def step(self) -> dict[str, Any]:
        if self._job.trial.stage != "teacher":
            time.sleep(SECONDS)
        return super().step()
