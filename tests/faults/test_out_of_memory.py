"""Memory runs out: the kernel kills the worker of a large student, and the study names the reason."""

from collections import Counter
from pathlib import Path

import pytest
from support.disturbed import SMALL, Document, Study
from support.small_memory import small_memory

pytestmark = pytest.mark.faults

LARGE = {
    "method": "noisy_teacher",
    "sigma": 0.5,
    "student": {"network": "FC12000-FC12000-FC10"},
    "train": {"epochs": 1, "batch_size": 64},
}
STUDY: Document = {**SMALL, "arms": [*SMALL["arms"], LARGE], "seeds": [0]}
LIMIT = 3_500 * 2**20
"""Bytes: enough for Ray, the command and the small students. The large one has 145 million weights, and Adam keeps two
more numbers of each."""


def test_out_of_memory_is_named_and_the_others_finish(tmp_path: Path) -> None:
    """It is not resumed: the large student takes minutes where it has the memory."""
    with small_memory(LIMIT) as launch:
        study = Study(tmp_path, STUDY, launch=launch)
        with study.start() as driver:
            assert driver.ends() == 1, driver.stderr
        last = driver.stderr.splitlines()[-1]
        assert "memory ran out: the kernel killed" in last, driver.stderr
        assert "lower resources.workers or train.batch_size, or allow more memory" in last
        assert "Traceback" not in driver.stderr
    outcomes = study.tracked().outcomes
    failed = [trial for trial, outcome in outcomes.items() if outcome == "failed"]
    assert len(failed) == 2, "the large student by its arm and by the baseline"
    assert Counter(outcomes.values()) == {"completed": len(outcomes) - 2, "failed": 2}
