"""The disk that a study lies on is full: it says so in one line, and goes on once there is room."""

import os
import subprocess
from pathlib import Path

import pytest
from support.disturbed import SMALL, WIDE, Study, unharmed
from support.full_disk import small_disk
from support.undisturbed import Undisturbed

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system"),
]


def _grow(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def _ended_in_one_line(stderr: str, disk: Path, name: str) -> None:
    assert stderr.count("\n") == 1, stderr
    assert str(disk) in stderr or ".noisy-study/" in stderr
    assert "No space left on device" in stderr or "disk is full" in stderr
    assert stderr.endswith(f"; after the cause is fixed: noisy-study resume {name}\n")


@pytest.mark.parametrize(
    ("size", "what"), [("8m", "the first checkpoint"), ("24m", "what follows the first checkpoint")]
)
def test_a_disk_too_small_for_a_checkpoint(tmp_path: Path, undisturbed: Undisturbed, size: str, what: str) -> None:
    study, disk = Study(tmp_path, WIDE), tmp_path / ".noisy-study"
    with small_disk(disk, size):
        with study.start() as driver:
            assert driver.ends() == 1
            _ended_in_one_line(driver.stderr, disk, "wide")
            assert any(file in driver.stderr for file in ("checkpoint.pt", "weights.safetensors"))
        _grow(disk, "300m")
        study.finish("resume", "wide")
        unharmed(study, undisturbed(WIDE), f"disk full: no room for {what}", 1)


def test_a_disk_that_something_else_fills_to_the_last_byte(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Whatever comes next has no room: a checkpoint, or an entry in the journal."""
    study, disk = Study(tmp_path, SMALL), tmp_path / ".noisy-study"
    with small_disk(disk, "8m"):
        with study.start() as driver:
            driver.until((study.trials / "grid-0001" / "checkpoint.pt").exists, "the second trial has a checkpoint")
            filled = subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=4096"], capture_output=True)
            assert b"No space left" in filled.stderr
            assert driver.ends() == 1
            _ended_in_one_line(driver.stderr, disk, "small")
        (disk / "filler").unlink()
        study.finish("resume", "small")
        unharmed(study, undisturbed(SMALL), "disk full: something else filled it", 1)
