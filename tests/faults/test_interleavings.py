"""A random interleaving of faults on a small real study: its table stays the same, or a line names what is missing."""

from collections import Counter
from pathlib import Path

import pytest
from support.lane import carried_out
from support.plans import DRAWN, START, STARTS, interleaving, read_plan

SEEDS = (0,)
"""One keeps the target short. `python -m benchmarks.interleavings` takes hundreds."""


@pytest.mark.faults
def test_study_survives_a_random_interleaving(tmp_path: Path) -> None:
    """It is repeated by its seed: `benchmarks.interleavings --count 1 --seed N --out again.json`."""
    happened = list(carried_out(map(interleaving, SEEDS), tmp_path / "lane"))
    assert [study["seed"] for study in happened] == list(SEEDS)
    harmed = [(study["seed"], study["reason"], study["did"]) for study in happened if study["verdict"] == "wrong"]
    assert not harmed
    assert all(study["starts"] >= 2 for study in happened)


def test_a_seed_draws_the_same_interleaving() -> None:
    plan = interleaving(7)
    assert plan == interleaving(7) == read_plan(plan.document())
    assert plan != interleaving(8)


def test_200_interleavings_have_every_operation_often() -> None:
    drawn = [[step.operation for step in interleaving(seed).steps] for seed in range(200)]
    often = Counter(operation for steps in drawn for operation in steps)
    assert set(often) == set(DRAWN)
    assert min(often.values()) >= 60
    assert max(steps.count(START) for steps in drawn) == STARTS
