"""A stage whose trials run side by side: some in each of a few workers, of which each has a GPU or its share of one.

Works on a stage and on Ray's actors. Knows nothing of trainings. All trials of a worker train one epoch in each round;
then the driver handles their reports and gives a new trial to each lane that is free. A worker that is lost costs each
of its trials the epochs after its last checkpoint.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayError

from study.records import TrialReport
from study.running.job import TrialJob
from study.running.lanes import LaneReports, Lanes
from study.running.stage import Placement, StageRun
from study.running.trainable import NodeRefs

GRACE = 6.0
"""Seconds that workers have to write the checkpoints of all trials after a signal. The whole shutdown has 8."""


@dataclass
class _Worker:
    """One worker.

    Attributes:
        actor: the Ray actor.
        lanes: names by which the stage knows its trials, by their numbers.
        stopped: numbers of trials that the pruner stopped, and that the worker still has.
        round: the answer that is awaited; None between two rounds.
    """

    actor: Any
    lanes: dict[int, str] = field(default_factory=dict)
    stopped: list[int] = field(default_factory=list)
    round: Any = None


def run_in_lanes(stage: StageRun, placement: Placement, node_data: NodeRefs) -> None:
    """Run the trials of a stage until all have ended, or the stage has an error."""
    workers = [_Worker(_new_actor(placement, node_data)) for _ in range(-(-placement.workers // placement.lanes))]
    names = (f"lane-{number}" for number in count())
    try:
        with stage.stopping_on_errors():
            for worker in workers:
                _begin_round(stage, worker, _share(stage, placement, len(workers)), names)
            while stage.error is None and (waiting := [each.round for each in workers if each.round is not None]):
                done, _ = ray.wait(waiting, num_returns=1)
                worker = next(each for each in workers if each.round == done[0])
                came = _came(stage, worker)
                if came is None:
                    ray.kill(worker.actor)  # it may still have its GPU: a call can fail in an actor that lives
                    worker.actor = _new_actor(placement, node_data)
                # The reports of trials that have ended free their lanes. The driver handles the other reports while
                # the worker trains the next epoch.
                _handle(stage, worker, came, is_over=True)
                _begin_round(stage, worker, _share(stage, placement, len(workers)), names)
                _handle(stage, worker, came, is_over=False)
                for idle in workers:
                    if idle.round is None:
                        _begin_round(stage, idle, _share(stage, placement, len(workers)), names)
    except KeyboardInterrupt:
        _keep(workers)
        raise
    finally:
        for worker in workers:
            ray.kill(worker.actor)


def _new_actor(placement: Placement, node_data: NodeRefs) -> Any:
    remote = ray.remote(num_cpus=placement.cpus, num_gpus=placement.gpus, scheduling_strategy="SPREAD")(Lanes)
    return remote.remote(node_data, placement.device)


def _share(stage: StageRun, placement: Placement, workers: int) -> int:
    """How many trials a worker has: its lanes, or fewer when the stage ends, so that all workers have some."""
    left = stage.journal.source.total - stage.journal.finished()
    return min(placement.lanes, -(-left // workers))


def _begin_round(stage: StageRun, worker: _Worker, lanes: int, names: Any) -> None:
    """Give new trials to the free lanes, and let all trials of the worker train one epoch."""
    jobs = []
    while len(worker.lanes) < max(lanes, 1):
        name = next(names)
        job = stage.next_job(name)
        if not isinstance(job, TrialJob):
            break
        worker.lanes[job.number] = name
        jobs.append(job)
    if worker.lanes or worker.stopped:
        worker.round = worker.actor.train.remote(jobs, worker.stopped)
        worker.stopped = []


def _came(stage: StageRun, worker: _Worker) -> LaneReports | None:
    """What came of a round that is done; None if the worker is lost. Then its trials are queued again."""
    answer, worker.round = worker.round, None
    try:
        came: LaneReports = ray.get(answer)
    except RayError:
        for name in worker.lanes.values():
            stage.on_worker_lost(name)
        worker.lanes, worker.stopped = {}, []
        return None
    return came


def _handle(stage: StageRun, worker: _Worker, came: LaneReports | None, is_over: bool) -> None:
    """Give the reports of the trials that have ended, or those of the others, to the stage."""
    if came is None:
        return
    for text in came.ended if is_over else came.running:
        report = TrialReport.model_validate_json(text)
        name = worker.lanes.get(report.number)
        if name is None:  # the pruner stopped it while the worker trained its next epoch
            continue
        stage.on_report(name, report)
        if stage.is_over(name):
            stage.trials_of_nodes[came.node] += 1
            del worker.lanes[report.number]
            if not is_over:
                worker.stopped.append(report.number)


def _keep(workers: list[_Worker]) -> None:
    """Let every worker write the checkpoints of its trials, as far as the time suffices."""
    with suppress(RayError):  # a worker that is gone has nothing left to write
        ray.wait([worker.actor.keep.remote() for worker in workers], num_returns=len(workers), timeout=GRACE)
