"""What a worker does around its trials: threads that wait do so asleep, and small networks get one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from study.config import TrialConfig
from study.records import TrialReport
from study.running import trainable
from study.running.job import TrialJob
from study.running.trainable import JOB, REPORT, DistillationTrainable, NodeRefs
from study.running.trial import TrialRun

ROOT = Path(__file__).parents[2]
LIKE_A_WORKER = "import ray.tune; import study.running.trainable"
"""A worker loads Ray Tune before the trainable."""

LIKE_AN_EXPORT = "import study.export.files"
"""`noisy-study export` loads PyTorch without a study that runs."""


@pytest.mark.parametrize(("given", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
@pytest.mark.parametrize("program", [LIKE_A_WORKER, LIKE_AN_EXPORT], ids=["worker", "export"])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(program: str, given: str | None, used: str) -> None:
    set_here = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in set_here}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | ({} if given is None else {"OMP_WAIT_POLICY": given})
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    if "OMP_WAIT_POLICY" not in ran.stderr:
        pytest.skip("this PyTorch's OpenMP does not show its settings")
    assert f"OMP_WAIT_POLICY = '{used}'" in ran.stderr
    assert ("GOMP_SPINCOUNT = '1000'" in ran.stderr) == (given is None)


@pytest.fixture
def same_threads_after() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("same_threads_after")
@pytest.mark.parametrize("threads", [1, 3, 64])
def test_a_trial_uses_the_threads_of_its_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, threads: int) -> None:
    """Never the CPUs that there are: another number of threads gives other last bits."""
    seen: list[int] = []

    def step(run: TrialRun) -> TrialReport:
        seen.append(torch.get_num_threads())
        return TrialReport(number=0)

    monkeypatch.setattr(TrialRun, "step", step)
    monkeypatch.setattr("study.running.trainable.ray.get", lambda reference: reference)
    monkeypatch.setattr(trainable, "keep_freed_memory", lambda: True)
    worker = DistillationTrainable.__new__(DistillationTrainable)
    nothing: Any = {}
    worker.setup({JOB: _job(tmp_path, threads)}, node_refs=NodeRefs(nothing, nothing))
    worker.step()
    assert seen == [threads]


class Alone(DistillationTrainable):
    """A trainable as Ray Tune makes it, outside of an actor."""

    def setup(self, config: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        nothing: Any = {}
        super().setup(config, node_refs=NodeRefs(nothing, nothing))


@pytest.mark.usefixtures("same_threads_after")
def test_a_result_has_no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray Tune adds it to every result, sends it to the driver, and copies and prints it there. Nobody reads it."""
    monkeypatch.setattr(TrialRun, "step", lambda run: TrialReport(number=0))
    monkeypatch.setattr("study.running.trainable.ray.get", lambda reference: reference)
    monkeypatch.setattr(trainable, "keep_freed_memory", lambda: True)
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "here")
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path))
    result: dict[str, Any] = Alone({JOB: _job(tmp_path, 1)}).train()  # type: ignore[no-untyped-call]
    assert "config" not in result
    assert TrialReport.model_validate_json(result[REPORT]).number == 0


def _job(folder: Path, threads: int) -> TrialJob:
    trial = TrialConfig.model_validate(
        {"stage": "grid", "role": "arm", "network": "FC3", "method": "labels", "seed": 0, "train": {}}
    )
    return TrialJob(0, trial, folder, None, folder, threads=threads)
