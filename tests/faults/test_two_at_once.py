"""A study belongs to one process at a time; different studies share a folder, a store and a teacher."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from support.disturbed import SMALL, Driver, Study, unharmed
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.faults


def _race(study: Study, *words: str) -> None:
    """Start a command three times at once: one wins, the others refuse in one line."""
    with ExitStack() as stack:
        racers: list[Driver] = [stack.enter_context(study.command(*words)) for _ in range(3)]
        statuses = [racer.ends() for racer in racers]
        assert sorted(statuses) == [0, 2, 2], [racer.stderr for racer in racers]
        for racer, status in zip(racers, statuses, strict=True):
            if status == 2:
                assert racer.stderr.count("\n") == 1
                assert "another process runs study" in racer.stderr or "already exists" in racer.stderr


def test_of_several_runs_of_one_name_one_wins(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study = Study(tmp_path, SMALL)
    _race(study, "run", study.file.name)
    unharmed(study, undisturbed(SMALL), "three `run` of one name at once", 1)


def test_of_several_resumes_of_one_name_one_wins(tmp_path: Path, undisturbed: Undisturbed) -> None:
    study = Study(tmp_path, SMALL)
    with study.start() as driver:
        driver.until((study.trials / "grid-0000" / "checkpoint.pt").exists, "the first trial has a checkpoint")
        driver.kill()
    _race(study, "resume", study.name)
    unharmed(study, undisturbed(SMALL), "three `resume` of one name at once", 1)


def test_two_studies_at_once_on_one_new_store_with_one_teacher(tmp_path: Path, undisturbed: Undisturbed) -> None:
    one, two = (Study(tmp_path, {**SMALL, "name": name}) for name in ("one", "two"))
    with one.start() as first, two.start() as second:
        assert (first.ends(), second.ends()) == (0, 0), first.stderr + second.stderr
    assert len(list((tmp_path / ".noisy-study" / "teachers").iterdir())) == 1
    for study in (one, two):
        unharmed(study, undisturbed(SMALL), "two studies at once on one new SQLite store, with one teacher", 1)
