"""The best student is chosen by validation error, and the test set chooses nothing."""

import dataclasses

import pytest
from support.ran import Ran

from study.errors import UserError
from study.export.choice import choose
from study.results.read import TrackedStudy
from study.tracking import schema

pytest_plugins = ("support.ran",)

VALIDATION, TEST = f"metrics.{schema.BEST_VAL_ERROR}", f"metrics.{schema.TEST_ERROR}"
SIGMA, SEED = f"params.{schema.SIGMA}", f"params.{schema.SEED}"


def _with_errors(
    ran: Ran, validation: dict[tuple[str, str], float], test: dict[tuple[str, str], float]
) -> TrackedStudy:
    """The study with errors by (σ, seed); 0.5 where nothing is said."""
    trials = ran.tracked.trials.copy()
    for column, errors in ((VALIDATION, validation), (TEST, test)):
        pairs = zip(trials[SIGMA], trials[SEED], strict=True)
        trials[column] = [errors.get((sigma, seed), 0.5) for sigma, seed in pairs]
    return dataclasses.replace(ran.tracked, trials=trials)


def test_lowest_mean_validation_error_wins(ran: Ran) -> None:
    """The row with the lowest mean validation error wins, whatever the test set says."""
    tracked = _with_errors(ran, {("0.9", "0"): 0.1, ("0.9", "1"): 0.2}, {("0.2", "0"): 0.01, ("0.2", "1"): 0.01})
    choice = choose(tracked)
    assert choice.row.arm.sigma == 0.9
    assert choice.val_error_mean == pytest.approx(0.15)


def test_of_its_seeds_the_one_with_the_lowest_validation_error(ran: Ran) -> None:
    tracked = _with_errors(ran, {("0.9", "0"): 0.2, ("0.9", "1"): 0.1}, {("0.9", "0"): 0.01, ("0.9", "1"): 0.3})
    choice = choose(tracked)
    assert (choice.seed, choice.val_error, choice.test_error) == (1, 0.1, 0.3)
    assert choice.seeds == (0, 1)


def test_one_lucky_seed_does_not_make_a_row_the_best(ran: Ran) -> None:
    tracked = _with_errors(ran, {("0.9", "0"): 0.01, ("0.9", "1"): 0.9, ("0.2", "0"): 0.3, ("0.2", "1"): 0.3}, {})
    assert choose(tracked).row.arm.sigma == 0.2


def test_the_baseline_is_chosen_if_no_noise_is_better(ran: Ran) -> None:
    choice = choose(_with_errors(ran, {}, {}))
    assert choice.row.arm.role == "baseline"


def test_a_study_without_a_completed_trial_has_none(ran: Ran) -> None:
    tracked = ran.tracked
    with pytest.raises(UserError, match="no completed student yet"):
        choose(dataclasses.replace(tracked, trials=tracked.trials.iloc[:0]))
