"""A study whose students train nothing, so that what is left is the service: Ray, the journal, the outbox, MLflow.

Everything else is real. The teacher is one linear layer for one epoch, and is trained; a student answers its first
step with a made-up error that has its minimum inside `sigma_alpha`.
"""

import json
import math
import os
import resource
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from study.config import StudyConfig, TrialConfig, parse_study
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.running import tune_stage
from study.running.service import Settings, start
from study.running.trainable import DistillationTrainable, result_of
from study.running.watcher import Watcher
from study.stages import Stage

FILE = """
name: untrained
data: {name: digits}
teachers: [{network: FC10, train: {epochs: 1}}]
student: {network: FC10}
train: {epochs: 1}
seeds: [0]
resources: {workers: 2}
"""


def study_of(trials: int, sampler: str, *settings: str) -> StudyConfig:
    """A study of so many trials: a planned grid where the sampler is `grid`, else a search.

    Args:
        settings: as `--set` takes them.
    """
    if sampler == "grid":
        sigmas = [round(0.01 + 1.99 * step / trials, 6) for step in range(trials - 1)]  # and the baseline
        lists = [sigmas[start : start + 5000] for start in range(0, len(sigmas), 5000)]
        arms = [f"{{method: noisy_teacher, alpha: 0.35, sigma: {each}}}" for each in lists]
        stages = f"arms=[{', '.join(arms)}]"
    else:
        stages = f"search={{sampler: {sampler}, trials: {trials}, confirm: {{top: 1}}}}"
    return parse_study(FILE, "benchmark", [stages, *settings])


class Untrained(DistillationTrainable):
    """The study's own trainable, which trains teachers and makes up what students come to."""

    def step(self) -> dict[str, Any]:
        trial = self._job.trial
        if trial.stage == "teacher":
            return super().step()
        return result_of(made_up(self._job.number, trial))


def made_up(number: int, trial: TrialConfig) -> TrialReport:
    """The end of a training after one epoch: lowest, 0.1, at σ = 0.8 and α = 0.35."""
    sigma = trial.sigma if isinstance(trial.sigma, float) else 0.0
    error = 0.1 + 0.3 * min(1.0, math.hypot((sigma - 0.8) / 2, (trial.alpha or 0.0) - 0.35))
    epoch = EpochRecord(
        epoch=1,
        train_loss=error,
        val_error=error,
        images_per_second=1.0,
        seconds=0.001,
        timestamp_ms=time.time_ns() // 1_000_000,
    )
    summary = TrainingSummary(
        outcome="completed",
        epochs=1,
        best_val_error=error,
        best_epoch=1,
        train_seconds=0.001,
        test_error=error if trial.sees_test_set else None,
    )
    return TrialReport(number=number, epochs=(epoch,), summary=summary)


@dataclass(frozen=True)
class Moment:
    """When a trial ended, and what the driver had used until then: seconds, processor seconds, MiB at its peak.

    `yardstick` and `yardstick_processor` are the same seconds of a fixed piece of work that is done then, which is not
    in the others: they tell how fast the machine is at that moment.
    """

    at: float
    processor: float
    yardstick: float
    yardstick_processor: float
    peak_mebibytes: float


class Clock(Watcher):
    """Notes when each trial of a stage ended."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._yardstick = self._yardstick_processor = 0.0
        self.ends: list[Moment] = []

    def trial_reports(self, trial_id: str, trial: TrialConfig, report: TrialReport) -> None:
        if trial.stage == self._stage and report.summary is not None:
            began, processor = time.perf_counter(), time.process_time()
            self.ends.append(
                Moment(
                    began - self._yardstick,
                    processor - self._yardstick_processor,
                    self._yardstick,
                    self._yardstick_processor,
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                )
            )
            json.loads(json.dumps([{"number": number, "text": str(number)} for number in range(400)]))
            self._yardstick += time.perf_counter() - began
            self._yardstick_processor += time.process_time() - processor

    def around(self, place: int, width: int = 100) -> Moment:
        """What one trial takes, on average over `width` trials around one place."""
        first = min(max(0, place - width // 2), len(self.ends) - width - 1)
        begin, end = astuple(self.ends[first]), astuple(self.ends[first + width])
        return Moment(*((after - before) / width for before, after in zip(begin, end, strict=True)))


def run(config: StudyConfig, watcher: Watcher, trained: bool = False) -> float:
    """Run a study in a folder of its own, with its journal and MLflow on SQLite.

    Args:
        trained: its students are trained, as in any study.

    Returns:
        seconds from the call to the end of Ray, everything delivered.
    """
    former, trainable = os.getcwd(), DistillationTrainable if trained else Untrained
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(tune_stage, "DistillationTrainable", trainable),
        patch.dict(
            os.environ, PYTHONPATH=os.pathsep.join(sys.path)
        ),  # workers import this module, which no package has
    ):
        os.chdir(folder)
        began = time.perf_counter()
        try:
            start(config, Settings(f"sqlite:///{folder}/mlflow.db", Path("data")), watcher)
        finally:
            os.chdir(former)
        return time.perf_counter() - began
