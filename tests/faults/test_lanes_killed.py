"""Students side by side in one worker: worker, driver or both are killed, and each student ends as it would alone."""

import signal
from pathlib import Path

import pytest
from support.disturbed import SMALL, Study, kill, unharmed
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.faults

LANES = {**SMALL, "resources": {"workers": 3, "students_per_gpu": 3}}
"""The six trials, three at a time in one process. The undisturbed study trains them one after another."""


def test_a_worker_with_three_students_is_killed(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study, killed = Study(tmp_path, LANES), 0
    with study.start() as driver:
        for trial in ("grid-0001", "grid-0004"):
            driver.until((study.trials / trial / "checkpoint.pt").exists, f"{trial} has a checkpoint")
            driver.until(lambda: driver.workers(busy=True) or driver.workers(), "a worker trains")
            kill(driver.workers()[0])
            killed += 1
        driver.finishes()
    unharmed(study, undisturbed(SMALL), "`kill -9` of a worker with three students side by side", killed)


def test_a_driver_whose_worker_has_three_students_is_killed(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study = Study(tmp_path, LANES)
    with study.start() as driver:
        driver.until((study.trials / "grid-0002" / "checkpoint.pt").exists, "the third student has a checkpoint")
        driver.kill_all()
    study.finish("resume", "small")
    unharmed(study, undisturbed(SMALL), "`kill -9` of a driver with three students side by side", 1)


def test_sigterm_writes_a_checkpoint_of_every_student(tmp_path: Path) -> None:
    """As a preemption notice: all processes get the signal, and there is a short time before the kill."""
    study = Study(tmp_path, LANES)
    running = [study.trials / f"grid-{number:04d}" / "checkpoint.pt" for number in range(3)]
    with study.start("--set", "train.epochs=100000") as driver:
        driver.until(lambda: all(file.exists() for file in running), "every student has a checkpoint")
        before = [file.stat().st_mtime_ns for file in running]
        driver.signal_group(signal.SIGTERM)
        assert driver.ends() == 130
        assert all(file.stat().st_mtime_ns > then for file, then in zip(running, before, strict=True))
