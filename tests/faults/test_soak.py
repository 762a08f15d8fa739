"""Two hundred short trials while a random worker is killed every few seconds."""

import random
import time
from pathlib import Path

import pytest
from support.disturbed import SMALL, Document, Study, kill, unharmed
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.slow
SOAK: Document = {
    **SMALL,
    "name": "soak",
    "train": {"epochs": 12, "batch_size": 16, "patience": 0},
    "arms": [{"method": "noisy_teacher", "sigma": [0.2, 0.5, 0.8]}],
    "seeds": list(range(50)),
    "resources": {"workers": 2},
}


def test_200_trials_survive_killed_workers(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Every two to six seconds, once another trial has ended: a slow machine would do nothing but start workers."""
    study, killed, chance = Study(tmp_path, SOAK), 0, random.Random(0)

    def ended() -> int:
        return sum(1 for _ in study.trials.glob("*/result.json"))

    with study.start() as driver:
        driver.until((study.trials / "grid-0000").exists, "the first trial begins")
        while driver.running:
            due, before = time.monotonic() + chance.uniform(2, 6), ended()
            while driver.running and (time.monotonic() < due or ended() == before):
                time.sleep(0.1)
            if workers := driver.workers(busy=True):
                kill(chance.choice(workers))
                killed += 1
        driver.finishes()
    assert len(undisturbed(SOAK).weights()) == 200
    unharmed(study, undisturbed(SOAK), "soak: 200 trials, a random worker killed every 2 to 6 s", killed)
