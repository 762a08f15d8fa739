"""A worker is killed with `kill -9`: its trial goes on by itself and ends as it would have."""

import signal
from pathlib import Path

import pytest
from support.disturbed import SMALL, WIDE, Study, kill, unharmed
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.faults


def test_a_worker_killed_in_mid_epoch(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study, killed = Study(tmp_path, SMALL), 0
    with study.start() as driver:
        for trial in ("grid-0000", "grid-0002", "grid-0005"):
            driver.until((study.trials / trial / "checkpoint.pt").exists, f"{trial} has a checkpoint")
            driver.until(lambda: driver.workers(busy=True), "a worker is in a step")
            kill(driver.workers(busy=True)[0])
            killed += 1
        driver.finishes()
    unharmed(study, undisturbed(SMALL), "`kill -9` of a worker in mid-epoch", killed)


def test_a_worker_killed_while_it_writes_a_checkpoint(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Every other write: the first of a trial, which has nothing before it, and later ones, which have."""
    study, seen, hit = Study(tmp_path, WIDE), set[Path](), 0
    with study.start() as driver:

        def being_written() -> list[Path]:
            return [file for file in study.trials.glob("*/.checkpoint.pt.*.tmp") if file not in seen]

        while hit < 6:
            driver.until(lambda: being_written() or not driver.running, "a checkpoint is being written", every=0.001)
            if not driver.running:
                break
            (file,) = being_written()
            seen.add(file)
            if len(seen) % 2 == 1:
                kill(driver.workers()[0])
                hit += file.exists()  # else it was whole before the kill came
        driver.finishes()
    assert hit >= 3
    unharmed(study, undisturbed(WIDE), "`kill -9` of a worker while it writes a checkpoint", hit)


def test_a_worker_killed_while_it_is_idle_between_two_trials(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The driver is held still in the moment when it has heard of a trial's end and not given the next one."""
    study, killed = Study(tmp_path, SMALL), 0
    with study.start() as driver:
        for number in range(5):
            result = study.trials / f"grid-{number:04d}" / "result.json"
            driver.until(result.exists, f"{result} is there", every=0.001)
            driver.signal(signal.SIGSTOP)
            idle = driver.workers(busy=False)
            if idle and not (study.trials / f"grid-{number + 1:04d}").exists():
                kill(idle[0])
                killed += 1
            driver.signal(signal.SIGCONT)
        driver.finishes()
    unharmed(study, undisturbed(SMALL), "`kill -9` of a worker idle between two trials", killed)
