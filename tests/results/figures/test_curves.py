"""Learning curves."""

import pytest
from support.sheet import Sheet

from study.results.figures import (
    curves,
)
from study.tracking import schema


def test_a_curve_ends_at_the_last_epoch_of_all_seeds() -> None:
    study = Sheet()
    study.train(0, 0.1, 0.1, role="baseline", history=[0.4, 0.2, 0.1])
    study.train(1, 0.1, 0.1, role="baseline", history=[0.6, 0.4])
    (plan,) = curves.plans_of(study.tracked())
    found = curves.curves_of(plan, study.histories(plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    (curve,) = found.curves
    assert curve.label == "baseline"
    assert list(curve.errors.mean(axis="columns")) == pytest.approx([0.5, 0.3])


def test_best_first_and_last_of_many_arms_are_shown() -> None:
    study = Sheet()
    study.train(0, 0.2, 0.1, role="baseline", history=[0.4, 0.2])
    for number in range(1, 21):
        study.train(0, 0.05 if number == 7 else 0.1, 0.1, sigma=number / 10, alpha=0.5, history=[0.4, 0.2])
    (plan,) = curves.plans_of(study.tracked())
    found = curves.curves_of(plan, study.histories(plan.run_ids, schema.VAL_ERROR))
    assert found is not None
    labels = [curve.label for curve in found.curves]
    assert len(labels) == 1 + curves.MAX_ARMS
    assert {"baseline", "σ = 0.1", "σ = 0.7", "σ = 2"} <= set(labels)
    assert found.left_out == 20 - curves.MAX_ARMS
    assert "Left out: 15 arms." in curves.sketch(found, several=False).caption


def test_the_latest_training_of_a_seed_is_shown() -> None:
    study = Sheet()
    study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5)
    later = study.train(0, 0.1, 0.1, sigma=0.5, alpha=0.5)
    (plan,) = curves.plans_of(study.tracked())
    assert plan.run_ids == [later]


def test_few_histories_are_read_of_many_seeds() -> None:
    study = Sheet()
    for seed in range(curves.MAX_SEEDS + 5):
        study.train(seed, 0.1, 0.1, sigma=0.5, alpha=0.5)
    (plan,) = curves.plans_of(study.tracked())
    assert len(plan.run_ids) == curves.MAX_SEEDS
