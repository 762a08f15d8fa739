"""The Ray Tune trainable: it runs a `TrialRun`, one epoch in each step.

Ray reuses its actor for one trial after another: `reset_config` only stores the configuration, and the first step loads
the rest. Ray's own checkpoints are off; a trial writes its own.
"""

from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray import tune

from models.own_code import use_copies
from study.adapters.glibc import keep_freed_memory
from study.data.dataset import Dataset
from study.records import TrialReport
from study.running.job import DeviceImages, TrialJob
from study.running.trial import FloatArray, TrialRun

JOB, REPORT = "job", "report"
"""Keys of the configuration and of a result: a `TrialJob`, and a `TrialReport` as JSON."""


@dataclass(frozen=True)
class NodeRefs:
    """What all trials share in Ray's object store: one read-only copy on each node, for any number of trials."""

    dataset: "ray.ObjectRef[Dataset]"
    targets: "ray.ObjectRef[dict[str, FloatArray]]"
    """Combined teacher logits by the key in a `TrialJob`."""


class DistillationTrainable(tune.Trainable):
    """Runs trials one after another in one actor.

    Each result has `val_error` and `epoch` for schedulers, `done`, and the whole report.
    """

    def setup(self, config: dict[str, Any], node_refs: NodeRefs | None = None, device: str = "cpu") -> None:
        assert node_refs is not None
        keep_freed_memory()
        self._targets: dict[str, FloatArray] = ray.get(node_refs.targets)
        self._images = DeviceImages(ray.get(node_refs.dataset), device)
        self._run: TrialRun | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job: TrialJob = new_config[JOB]
        self.cleanup()
        return True

    def cleanup(self) -> None:
        """Close the trial: it was stopped early, or it has ended."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def step(self) -> dict[str, Any]:
        if self._run is None:
            torch.set_num_threads(self._job.threads)
            use_copies(self._job.code)
            self._run = TrialRun(self._job, self._targets, self._images)
        report = self._run.step()
        if report.summary is not None or report.fatal is not None:
            self.cleanup()
        return result_of(report)

    def log_result(self, result: dict[str, Any]) -> None:
        """Leave out the configuration. Ray adds it to every result, and nobody reads it there."""
        result.pop("config", None)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing. Ray calls this when it pauses an actor; the trial writes its own checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing, as `save_checkpoint`."""


def result_of(report: TrialReport) -> dict[str, Any]:
    """A report as a result for Ray Tune. If it has no epoch, `val_error` is 1, the worst value."""
    last = report.epochs[-1] if report.epochs else None
    return {
        "epoch": last.epoch if last else 0,
        "val_error": last.val_error if last else 1.0,
        "done": report.summary is not None or report.fatal is not None,
        REPORT: report.model_dump_json(),
    }
