"""A trial whose loss is no longer a number ends as `diverged`; the study goes on to its table without it."""

from pathlib import Path

import pytest
from support.disturbed import SMALL, Harm, Study, harm, tally
from support.undisturbed import Undisturbed


@pytest.mark.faults
def test_a_study_with_an_arm_that_diverges(tmp_path: Path, undisturbed: Undisturbed) -> None:
    hopeless = {"method": "noisy_teacher", "sigma": 0.7, "train": {"optimizer": "sgd", "lr": 100.0}}
    study, alone = Study(tmp_path, {**SMALL, "arms": [*SMALL["arms"], hopeless]}), undisturbed(SMALL)
    study.finish("run", study.file.name)
    tracked = study.tracked()
    diverged = sorted(trial for trial, outcome in tracked.outcomes.items() if outcome == "diverged")
    assert diverged == ["grid-0006", "grid-0007"]
    assert tracked.statuses == {"FINISHED": len(tracked.runs) + 1 - 2, "FAILED": 2}
    assert [row["sigma"] for row in study.table() if row["n"]] == [row["sigma"] for row in alone.table()]
    done = harm(study, alone, beside=diverged)
    tally("a loss that is no longer a number", len(diverged), len(alone.weights()), done)
    assert done == Harm(0, 0, 0)
