"""Trials side by side in one worker: a Ray actor that trains one epoch of each with every call.

Each trial keeps its own identity: its generators, its folder, its checkpoint, its early stopping. The driver gives a
new trial to each free lane.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ray
import torch

from models.own_code import use_copies
from study.adapters.glibc import keep_freed_memory
from study.distill.side_by_side import run_epochs, streams
from study.distill.trainer import DistillationTrainer
from study.records import TrialReport
from study.running.job import DeviceImages, TrialJob
from study.running.trainable import NodeRefs
from study.running.trial import FloatArray, TrialRun, discard_checkpoints


@dataclass(frozen=True)
class LaneReports:
    """What came of one epoch of all lanes of a worker.

    Attributes:
        node: the address of its node.
        ended: reports of the trials that have ended here, as JSON.
        running: reports of the other trials.
    """

    node: str
    ended: tuple[str, ...]
    running: tuple[str, ...]


class Lanes:
    """The trials of one worker."""

    def __init__(self, node_refs: NodeRefs, device: str) -> None:
        keep_freed_memory()
        self._targets: dict[str, FloatArray] = ray.get(node_refs.targets)
        self._images = DeviceImages(ray.get(node_refs.dataset), device)
        self._streams = streams(torch.device(device))
        self._runs: dict[int, TrialRun] = {}

    def train(self, jobs: Sequence[TrialJob], stopped: Sequence[int] = ()) -> LaneReports:
        """Add trials, close those that are stopped, and train one epoch of every trial here.

        Args:
            jobs: of new trials.
            stopped: numbers of trials that the pruner has stopped.
        """
        for number in stopped:
            if (run := self._runs.pop(number, None)) is not None:  # else it has just ended here
                run.close()
                discard_checkpoints(run.job.folder)  # it may have trained on after the driver discarded them
        for job in jobs:
            torch.set_num_threads(job.threads)
            use_copies(job.code)
            self._runs[job.number] = TrialRun(job, self._targets, self._images, next(self._streams))
        begun = {number: run.begin() for number, run in self._runs.items()}
        trainers = {number: one for number, one in begun.items() if isinstance(one, DistillationTrainer)}
        reports = [one for one in begun.values() if isinstance(one, TrialReport)]
        for number, epoch in zip(trainers, run_epochs(list(trainers.values())), strict=True):
            reports.append(self._runs[number].end(epoch, beside=len(trainers)))
        over = {one.number for one in reports if one.summary is not None or one.fatal is not None}
        for number in over:
            del self._runs[number]
        node = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        ended = tuple(one.model_dump_json() for one in reports if one.number in over)
        return LaneReports(node, ended, tuple(one.model_dump_json() for one in reports if one.number not in over))

    def keep(self) -> int:
        """Write a checkpoint of every trial here, because the worker is about to end. Returns how many there are."""
        for run in self._runs.values():
            run.keep()
        return len(self._runs)
