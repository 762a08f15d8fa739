"""A training that trains nothing: the validation error follows a formula with a known optimum.

Everything around it is real: Ray's actors, the journal, the scheduler, the tracking server.
"""

import math
import time
from typing import Any

from study.config import TrialConfig
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.running.job import TrialJob
from study.running.trainable import JOB, DistillationTrainable, result_of

SIGMA, ALPHA = 0.8, 0.35
"""Where the error is lowest."""


def final_error(trial: TrialConfig) -> float:
    """A bowl around the optimum: 0.1 there, 0.4 at the far corner of `sigma_alpha`."""
    assert isinstance(trial.sigma, float)
    distance = math.hypot((trial.sigma - SIGMA) / 2, trial.alpha - ALPHA) / math.hypot(0.6, 0.65)
    return 0.1 + 0.3 * min(1.0, distance)


class SyntheticTrainable(DistillationTrainable):
    """Comes down from an error of 0.9 to its final one, as a training does."""

    def setup(self, config: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job: TrialJob = new_config[JOB]
        self._epochs: list[EpochRecord] = []
        return True

    def step(self) -> dict[str, Any]:
        trial, epoch = self._job.trial, len(self._epochs) + 1
        error = final_error(trial) + (0.9 - final_error(trial)) * math.exp(-epoch)
        now = time.time_ns() // 1_000_000
        self._epochs.append(
            EpochRecord(
                epoch=epoch, train_loss=error, val_error=error, images_per_second=1.0, seconds=0.1, timestamp_ms=now
            )
        )
        summary = None
        if epoch == trial.train.epochs:
            summary = TrainingSummary(
                outcome="completed", epochs=epoch, best_val_error=error, best_epoch=epoch, train_seconds=0.1 * epoch
            )
        return result_of(TrialReport(number=self._job.number, epochs=tuple(self._epochs), summary=summary))
