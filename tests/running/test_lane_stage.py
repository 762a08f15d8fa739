"""A stage in lanes: what the driver does with its workers. The journal and the stage are real, the workers are not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from ray.exceptions import RayActorError
from support.simulated import NOWHERE, Recorder, records, summary_of
from support.study_files import THREE_SIGMA

from study.config import parse_study
from study.planning.plan import grid_trials
from study.records import TrialReport
from study.running import lane_stage
from study.running.job import TrialJob
from study.running.journal import StageJournal
from study.running.lane_stage import run_in_lanes
from study.running.lanes import LaneReports
from study.running.sources import Planned
from study.running.stage import Placement, StageRun
from study.running.trainable import NodeRefs

Round = Callable[[], LaneReports]


@dataclass
class _Call:
    """A method of an actor: `remote` returns what a reference stands for here, a function."""

    remote: Callable[..., Round]


@dataclass
class Workers:
    """Stands in for Ray's actors. A trial ends in its first epoch.

    Attributes:
        fails: how many rounds end with an error of Ray, from the first one.
        happened: what the driver did, in order.
        trained: the numbers of the trials of each round.
    """

    fails: int
    happened: list[str] = field(default_factory=list)
    trained: list[list[int]] = field(default_factory=list)

    def new(self, *_: Any) -> "Worker":
        name = f"worker {sum(line.startswith('create') for line in self.happened)}"
        self.happened.append(f"create {name}")
        return Worker(name, self)

    def kill(self, worker: "Worker") -> None:
        self.happened.append(f"kill {worker.name}")


class Worker:
    """One actor."""

    def __init__(self, name: str, workers: Workers) -> None:
        self.name, self._workers = name, workers
        self.train = _Call(self._train)

    def _train(self, jobs: Sequence[TrialJob], stopped: Sequence[int]) -> Round:
        numbers = [job.number for job in jobs]
        self._workers.trained.append(numbers)
        error = RayActorError() if len(self._workers.trained) <= self._workers.fails else None

        def came() -> LaneReports:
            if error is not None:
                raise error
            return LaneReports("here", tuple(_end(number).model_dump_json() for number in numbers), ())

        return came


def _end(number: int) -> TrialReport:
    history = records([0.1])
    return TrialReport(number=number, epochs=tuple(history), summary=summary_of("completed", history))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[Workers, Recorder]]:
    """Runs the four trials of `THREE_SIGMA` in two lanes of one worker."""

    def run(fails: int) -> tuple[Workers, Recorder]:
        workers, recorder = Workers(fails), Recorder()
        monkeypatch.setattr(lane_stage, "_new_actor", workers.new)
        monkeypatch.setattr("study.running.lane_stage.ray.kill", workers.kill)
        monkeypatch.setattr("study.running.lane_stage.ray.wait", lambda rounds, num_returns: (rounds[:1], rounds[1:]))
        monkeypatch.setattr("study.running.lane_stage.ray.get", lambda came: came())
        stage = StageRun(
            journal=StageJournal(
                InMemoryStorage(), "s", "grid", Planned(grid_trials(parse_study(THREE_SIGMA, "a test")))
            ),
            job=lambda number, trial_id, trial: TrialJob(number, trial, NOWHERE / trial_id, None, NOWHERE),
            params=lambda trial: {},
            track=recorder.events.append,
            watcher=recorder,
            workers=2,
        )
        nothing: Any = None
        run_in_lanes(stage, Placement(2, 1, 1.0, lanes=2), NodeRefs(nothing, nothing))
        assert stage.error is None
        return workers, recorder

    return run


def test_a_failed_worker_is_killed_before_the_next_one(
    ran: Callable[[int], tuple[Workers, Recorder]],
) -> None:
    """A call can fail in an actor that lives. While it has the GPU, its successor would wait for it forever."""
    workers, _ = ran(1)
    assert workers.happened == ["create worker 0", "kill worker 0", "create worker 1", "kill worker 1"]


def test_trials_of_a_failed_worker_run_again(ran: Callable[[int], tuple[Workers, Recorder]]) -> None:
    workers, recorder = ran(1)
    assert workers.trained == [[0, 1], [0, 1], [2, 3]]
    assert sorted(ended.number for ended in recorder.ended) == [0, 1, 2, 3]


def test_workers_that_do_not_fail_are_killed_at_the_end(
    ran: Callable[[int], tuple[Workers, Recorder]],
) -> None:
    workers, recorder = ran(0)
    assert workers.happened == ["create worker 0", "kill worker 0"]
    assert len(recorder.ended) == 4


def test_a_worker_that_always_fails_ends_its_trials(ran: Callable[[int], tuple[Workers, Recorder]]) -> None:
    workers, recorder = ran(1000)
    assert {ended.outcome for ended in recorder.ended} == {"failed"}
    creations = [line for line in workers.happened if line.startswith("create")]
    assert len(workers.happened) == 2 * len(creations)
