"""The seeds of a row, and the pairs of an arm and its baseline."""

import math

import pytest
from scipy import stats
from support.tables import BuildTable, NewStudy, the_note

pytest_plugins = ("support.handwritten", "support.tables")


def test_a_single_seed_has_an_improvement_but_no_interval(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.04})
    study.arm({0: 0.03}, sigma=0.3, alpha=0.5)
    table = table_of(study)
    row = table.rows[1]
    assert (row.n, row.test_error_ci95, row.improvement_ci95, row.p_value, row.p_corrected) == (
        1,
        None,
        None,
        None,
        None,
    )
    assert row.improvement_percent == pytest.approx(25)
    assert row.verdict == "one_seed"
    assert "has 1 seed (all seeds: 0)" in the_note(table, "Every row")


def test_seeds_of_only_one_side_are_not_compared(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10, 1: 0.12, 2: 0.11})
    study.arm({1: 0.09, 2: 0.10, 3: 0.50}, sigma=0.3, alpha=0.5)
    row = table_of(study).rows[1]
    assert row.n == 3
    assert row.test_error_mean == pytest.approx(0.23)
    assert row.improvement_percent == pytest.approx((0.115 - 0.095) / 0.115 * 100)
    assert row.p_value == pytest.approx(stats.ttest_rel([0.12, 0.11], [0.09, 0.10]).pvalue)
    assert "seeds 0, 3 of noisy_teacher σ=0.3 α=0.5 (fc800)" in the_note(table_of(study), "Not paired")


def test_an_arm_without_a_seed_in_common_is_not_compared(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10})
    study.arm({1: 0.09}, sigma=0.3, alpha=0.5)
    row = table_of(study).rows[1]
    assert (row.improvement_percent, row.verdict) == (None, "no_common_seed")


def test_repeated_seed_counts_once(new_study: NewStudy, table_of: BuildTable) -> None:
    """A seed that came twice counts once, by the run that finished last."""
    study = new_study()
    study.trial(0, 0.9, sigma=0.3, alpha=0.5, ended=100)
    study.trial(0, 0.2, sigma=0.3, alpha=0.5, ended=300)
    study.trial(0, 0.8, sigma=0.3, alpha=0.5, ended=200)
    table = table_of(study)
    assert (table.rows[0].n, table.rows[0].test_error_mean) == (1, 0.2)
    assert the_note(table, "More than one").endswith("noisy_teacher σ=0.3 α=0.5 (fc800) seed 0.")


def test_student_without_baseline_has_no_improvement(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10, 1: 0.11}, student="student1")
    study.arm({0: 0.09, 1: 0.08}, sigma=0.3, alpha=0.5, student="student1")
    study.arm({0: 0.09, 1: 0.08}, sigma=0.3, alpha=0.5, student="student2")
    table = table_of(study)
    assert [(row.arm.student, row.arm.role) for row in table.rows] == [
        ("student1", "baseline"),
        ("student1", "arm"),
        ("student2", "arm"),
    ]
    assert table.rows[1].improvement_percent is not None
    assert (table.rows[2].improvement_percent, table.rows[2].verdict) == (None, "no_baseline")
    assert "student2" in the_note(table, "No completed baseline")


def test_two_different_baselines_give_no_comparison(new_study: NewStudy, table_of: BuildTable) -> None:
    """Two different baselines of a student leave the comparison open."""
    study = new_study()
    study.baseline({0: 0.10, 1: 0.11})
    study.baseline({0: 0.20, 1: 0.21}, lr=0.01)
    study.arm({0: 0.09, 1: 0.08}, sigma=0.3, alpha=0.5)
    table = table_of(study)
    assert table.rows[2].verdict == "no_baseline"
    assert the_note(table, "2 different baselines")


def test_confirmation_baseline_adds_seeds(new_study: NewStudy, table_of: BuildTable) -> None:
    """A baseline trained for the confirmation adds its seeds to the baseline."""
    study = new_study()
    study.baseline({0: 0.10, 1: 0.12})
    study.baseline({10: 0.11, 11: 0.13}, stage="confirm")
    study.arm({10: 0.09, 11: 0.12}, stage="confirm", sigma=0.3, alpha=0.5)
    baseline, confirmed = table_of(study).rows
    assert (baseline.n, baseline.stage) == (4, "grid")
    assert confirmed.improvement_percent == pytest.approx((0.12 - 0.105) / 0.12 * 100)


def test_differences_without_spread_are_not_tested(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.05, 1: 0.04})
    study.arm({0: 0.04, 1: 0.03}, sigma=0.3, alpha=0.5)
    study.arm({0: 0.05, 1: 0.04}, sigma=0.4, alpha=0.5)
    table = table_of(study)
    same, none = table.rows[1:]
    assert (same.p_value, same.improvement_ci95, same.verdict) == (None, None, "no_spread")
    assert (none.p_value, none.p_corrected, none.improvement_ci95, none.verdict) == (1.0, 1.0, (0.0, 0.0), "two_seeds")
    assert "σ=0.3" in the_note(table, "The difference is the same")
    assert "for the 2 arms of" in the_note(table, "Improvement")


def test_trial_without_test_error_is_left_out(new_study: NewStudy, table_of: BuildTable) -> None:
    """A trial without a usable test error is left out and counted."""
    study = new_study()
    study.trial(0, 0.1, sigma=0.5, alpha=0.5)
    study.trial(1, None, sigma=0.5, alpha=0.5)
    study.trial(2, math.nan, sigma=0.5, alpha=0.5)
    table = table_of(study)
    assert table.rows[0].n == 1
    assert the_note(table, "Left out").startswith("Left out: 2 completed trials")


def test_table_without_completed_trials_is_empty(new_study: NewStudy, table_of: BuildTable) -> None:
    """A study without completed trials has an empty table that says so."""
    study = new_study()
    study.trial(9, 0.1, stage="search", sigma=0.5, alpha=0.5)
    table = table_of(study)
    assert table.rows == ()
    assert table.notes[0].startswith("No completed trial")
