"""Trials side by side in one worker: each has the result, the files and the reports of the trial alone."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.small_trials import TARGET, Trials, numbers_of, same_weights, student, summary_of, to_the_end

from study.config import TrialConfig
from study.records import TrialReport
from study.running import lanes as lanes_of_workers
from study.running.job import TrialJob
from study.running.lanes import Lanes
from study.running.trainable import NodeRefs
from study.running.trial import checkpoints

pytest_plugins = ("support.small_trials",)


@pytest.fixture
def lanes(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lanes]:
    monkeypatch.setattr("study.running.lanes.ray.get", lambda reference: reference)
    monkeypatch.setattr("study.running.lanes.ray.util.get_node_ip_address", lambda: "here")
    monkeypatch.setattr(lanes_of_workers, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(lanes_of_workers, "DeviceImages", lambda dataset, device: trials.images)
    before = torch.get_num_threads()
    yield _worker(trials)
    torch.set_num_threads(before)


def _worker(trials: Trials) -> Lanes:
    nothing: Any = None
    targets: Any = trials.targets
    return Lanes(NodeRefs(nothing, targets), "cpu")


def _job(trials: Trials, number: int, trial: TrialConfig) -> TrialJob:
    return replace(trials.run(trial, f"grid-{number:04d}").job, number=number)


def _to_the_end(worker: Lanes, jobs: list[TrialJob]) -> dict[int, TrialReport]:
    """The last report of every trial."""
    ended: dict[int, TrialReport] = {}
    new = jobs
    while len(ended) < len(jobs):
        for text in worker.train(new).ended:
            report = TrialReport.model_validate_json(text)
            ended[report.number] = report
        new = []
    return ended


TRIALS = [
    student(seed=0),
    student(seed=1),
    student(seed=2, sigma=0.0, method="logit_regression", alpha=0.0),
    student(seed=3, train={"epochs": 2}),
    student(seed=4, train={"batch_size": 7, "optimizer": "sgd", "momentum": 0.9}),
]


def test_each_trial_ends_as_it_does_alone(lanes: Lanes, trials: Trials, tmp_path: Any) -> None:
    ended = _to_the_end(lanes, [_job(trials, number, trial) for number, trial in enumerate(TRIALS)])
    for number, trial in enumerate(TRIALS):
        alone = Trials(tmp_path / "alone", trials.images, trials.targets)
        run = alone.run(trial, f"grid-{number:04d}")
        report = to_the_end(run)[-1]
        assert numbers_of(ended[number]) == numbers_of(report)
        assert summary_of(ended[number]).test_error == summary_of(report).test_error
        assert same_weights(trials.run(trial, f"grid-{number:04d}"), run)


def test_a_free_lane_takes_the_next_trial(lanes: Lanes, trials: Trials) -> None:
    first = [_job(trials, 0, TRIALS[3]), _job(trials, 1, TRIALS[0])]
    lanes.train(first)
    assert [TrialReport.model_validate_json(text).number for text in lanes.train([]).ended] == [0]
    came = lanes.train([_job(trials, 2, TRIALS[1])])
    assert sorted(TrialReport.model_validate_json(text).number for text in came.running) == [1, 2]


def test_a_stopped_trial_frees_its_folder(lanes: Lanes, trials: Trials) -> None:
    lanes.train([_job(trials, number, trial) for number, trial in enumerate(TRIALS[:2])])
    came = lanes.train([], stopped=[1])
    assert [TrialReport.model_validate_json(text).number for text in came.running] == [0]
    assert trials.run(TRIALS[1], "grid-0001").step().epochs  # no other process holds the lock
    lanes.train([], stopped=[1])


def test_a_stopped_trial_leaves_no_checkpoint(lanes: Lanes, trials: Trials) -> None:
    """The driver discards them when the pruner decides. The worker may have trained one more epoch since then."""
    job = _job(trials, 0, TRIALS[0])
    lanes.train([job])
    assert any(file.exists() for file in checkpoints(job.folder))
    lanes.train([], stopped=[0])
    assert not any(file.exists() for file in checkpoints(job.folder))


def test_a_killed_worker_resumes_from_each_checkpoint(lanes: Lanes, trials: Trials, tmp_path: Any) -> None:
    jobs = [_job(trials, number, trial) for number, trial in enumerate(TRIALS)]
    undisturbed = _to_the_end(
        _worker(trials), [replace(job, folder=tmp_path / "undisturbed" / job.folder.name) for job in jobs]
    )
    lanes.train(jobs)
    lanes.train([])
    assert lanes.keep() == 4  # one has ended
    for run in lanes._runs.values():  # the locks of a killed process are free
        run.close()
    ended = _to_the_end(_worker(trials), jobs)
    assert {number: numbers_of(report) for number, report in ended.items()} == {
        number: numbers_of(report) for number, report in undisturbed.items()
    }


def test_a_trial_that_cannot_be_trained_leaves_the_others_alone(lanes: Lanes, trials: Trials) -> None:
    wrong = replace(_job(trials, 1, TRIALS[1]), target="missing")
    ended = _to_the_end(lanes, [_job(trials, 0, TRIALS[0]), wrong])
    assert summary_of(ended[0]).outcome == "completed"
    assert summary_of(ended[1]).outcome == "failed"
    assert TARGET in trials.targets
