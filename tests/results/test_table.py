"""Tables of studies that were written into a real MLflow store by hand."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import numpy as np
import pytest
from scipy import stats
from support.handwritten import BASELINE_ERRORS, SEARCHED_BASELINE, Writer

from study.errors import UserError
from study.results.formats.json import as_json
from study.results.render import FORMATS, render
from study.results.rows import Row, RowCost, Table
from study.results.rule import Family, judge
from study.results.rule import by_seed as errors_by_seed
from study.results.table import build_table

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]
BuildTable = Callable[[Writer], Table]


@pytest.fixture
def table_of(uri: str) -> BuildTable:
    return lambda study: build_table(uri, study.name)


@pytest.fixture(scope="module")
def mnist_table(uri: str, mnist: str) -> Table:
    return build_table(uri, mnist)


@pytest.fixture
def tracking(uri: str) -> Iterator[None]:
    """MLflow's own functions on our store, for the length of a test."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield
    mlflow.set_tracking_uri(before)


def arm(table: Table, **wanted: object) -> Row:
    """The only row whose own attributes, or those of its arm, have these values."""

    def matches(row: Row) -> bool:
        return all(getattr(row if hasattr(row, name) else row.arm, name) == value for name, value in wanted.items())

    (row,) = filter(matches, table.rows)
    return row


def note(table: Table, beginning: str) -> str:
    (found,) = (line for line in table.notes if line.startswith(beginning))
    return found


@pytest.mark.usefixtures("tracking")
def test_table_matches_plain_pandas(mnist: str, mnist_table: Table) -> None:
    """The table is what a dozen lines of pandas compute from the same runs."""
    runs = mlflow.search_runs(experiment_names=[mnist], filter_string="tags.`noisy_study.kind` = 'trial'")
    runs = runs[(runs["tags.noisy_study.stage"] != "search") & (runs["tags.noisy_study.outcome"] == "completed")]
    by_seed = runs.pivot_table(
        index="params.seed", columns=["tags.noisy_study.role", "params.sigma"], values="metrics.test_error"
    )
    baseline = by_seed["baseline", "0.0"]
    p_values = {sigma: stats.ttest_rel(baseline, by_seed["arm", sigma]).pvalue for sigma in by_seed["arm"].columns}
    planned = len(mnist_table.rows) - 1
    assert len(p_values) == planned - 1 == 4, "one arm lost every seed"
    for sigma, p in p_values.items():
        errors = by_seed["arm", sigma]
        row = arm(mnist_table, sigma=tuple(json.loads(sigma)) if sigma.startswith("[") else float(sigma))
        assert row.n == len(errors)
        assert row.test_error_mean == pytest.approx(errors.mean())
        assert row.test_error_ci95 == pytest.approx(
            stats.t.interval(0.95, len(errors) - 1, errors.mean(), stats.sem(errors))
        )
        assert row.improvement_percent == pytest.approx((1 - errors.mean() / baseline.mean()) * 100)
        assert row.p_value == pytest.approx(p)
        of_stage = [each for each in mnist_table.rows[1:] if each.stage == row.stage]
        whole = [each for each in of_stage if not each.is_lost]
        seeds = sorted(baseline.index.astype(int))
        matrix = errors_by_seed(seeds, [each.errors for each in whole])
        family = Family(len(of_stage), share=len(of_stage) / planned)
        judged = judge([mnist_table.rows[0].errors[seed] for seed in seeds], matrix, family)
        assert row.p_corrected == judged[whole.index(row)].p_corrected


def test_rows_are_baseline_grid_confirmation(mnist_table: Table) -> None:
    """The baseline comes first, then the grid, then what was confirmed."""
    assert [(row.arm.role, row.stage, row.arm.sigma) for row in mnist_table.rows] == [
        ("baseline", "grid", None),
        ("arm", "grid", 0.1),
        ("arm", "grid", 0.5),
        ("arm", "grid", 5.0),
        ("arm", "grid", (0.01, 1.0)),
        ("arm", "confirm", 0.437),
    ]


def test_the_baseline_has_an_error_but_nothing_to_improve_on(mnist_table: Table) -> None:
    row = mnist_table.rows[0]
    assert row.n == 5
    assert row.test_error_mean == pytest.approx(np.mean(list(BASELINE_ERRORS.values())))
    assert (row.arm.sigma, row.arm.alpha, row.arm.noise, row.arm.sigma_mode) == (None, None, None, None)
    assert (row.improvement_percent, row.p_value, row.p_corrected, row.verdict) == (None, None, None, "baseline")


def test_the_verdict_follows_the_corrected_test(mnist_table: Table) -> None:
    assert arm(mnist_table, sigma=0.5).verdict == "better"
    assert arm(mnist_table, sigma=0.1).verdict == "undecided"
    assert arm(mnist_table, sigma=0.437).verdict == "worse"
    for row in [row for row in mnist_table.rows[1:] if row.arm.sigma != 5]:
        assert row.p_corrected is not None
        assert row.improvement_ci95 is not None
        assert row.p_value is not None
        assert (row.verdict == "undecided") == (row.p_corrected >= 0.05)
        assert (row.improvement_ci95[0] > 0 or row.improvement_ci95[1] < 0) == (row.p_corrected < 0.05)


def test_published_numbers_match_their_settings(mnist_table: Table) -> None:
    """Published numbers stand beside the settings that they were printed for."""
    assert [row.published_error_percent for row in mnist_table.rows] == [0.97, 0.96, 0.87, None, None, None]
    assert [row.published_improvement_percent for row in mnist_table.rows] == [
        None,
        pytest.approx(1 / 97 * 100),
        pytest.approx(10 / 97 * 100),
        None,
        None,
        None,
    ]
    assert "Table 1 (section 4.1)" in note(mnist_table, "Published")


def test_json_has_the_agreed_keys_and_nothing_that_is_no_json(mnist_table: Table) -> None:
    document = json.loads(json.dumps(as_json(mnist_table), allow_nan=False))
    assert list(document) == ["study", "baseline_kind", "rule", "notes", "rows"]
    assert list(document["rows"][1]) == [
        "role",
        "stage",
        "student",
        "teacher",
        "teacher_key",
        "method",
        "sigma",
        "sigma_mode",
        "noise",
        "reading",
        "alpha",
        "n",
        "n_planned",
        "n_diverged",
        "n_failed",
        "errors",
        "test_error_mean",
        "test_error_ci95",
        "improvement_percent",
        "improvement_ci95",
        "p_value",
        "p_corrected",
        "verdict",
        "detectable_percent",
        "compression_ratio",
        "published_error_percent",
        "published_improvement_percent",
        "p_holm",
        "noise_form",
        "noise_across",
        "noise_per",
        "noise_select",
        "noise_schedule",
    ]
    assert document["rule"] == "guarded-dunnett"
    assert document["rows"][1]["p_holm"] == document["rows"][1]["p_corrected"]
    assert document["rows"][0]["errors"] == {str(seed): error for seed, error in BASELINE_ERRORS.items()}
    assert document["rows"][4]["sigma"] == [0.01, 1.0]
    assert document["rows"][0]["sigma"] is None
    assert document["rows"][1]["compression_ratio"] == pytest.approx(2_293_000 / 1_275_200)


def test_notes_say_what_the_table_stands_on(mnist_table: Table) -> None:
    assert mnist_table.baseline_kind == "default settings"
    assert note(mnist_table, "Rows have") == "Rows have 0 to 5 of their planned seeds (all seeds: 0, 1, 2, 3, 4)."
    assert "the variation of the student's training" in note(mnist_table, "Intervals")
    assert "for the 5 arms of this table" in note(mnist_table, "Improvement")
    assert note(mnist_table, "Teacher") == "Teacher lenet-mnist: test error 0.71 % (published: 0.68 %)."
    assert "1 diverged, 1 failed, 1 running" in note(mnist_table, "Trials without a test error")
    assert not any(line.startswith(("More than one", "Not paired", "No completed")) for line in mnist_table.notes)


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
    assert "has 1 seed (all seeds: 0)" in note(table, "Every row")


def test_seeds_that_only_one_side_has_stay_out_of_the_comparison(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10, 1: 0.12, 2: 0.11})
    study.arm({1: 0.09, 2: 0.10, 3: 0.50}, sigma=0.3, alpha=0.5)
    row = table_of(study).rows[1]
    assert row.n == 3
    assert row.test_error_mean == pytest.approx(0.23)
    assert row.improvement_percent == pytest.approx((0.115 - 0.095) / 0.115 * 100)
    assert row.p_value == pytest.approx(stats.ttest_rel([0.12, 0.11], [0.09, 0.10]).pvalue)
    assert "seeds 0, 3 of noisy_teacher σ=0.3 α=0.5 (fc800)" in note(table_of(study), "Not paired")


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
    assert note(table, "More than one").endswith("noisy_teacher σ=0.3 α=0.5 (fc800) seed 0.")


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
    assert "student2" in note(table, "No completed baseline")


def test_two_different_baselines_give_no_comparison(new_study: NewStudy, table_of: BuildTable) -> None:
    """Two different baselines of a student leave the comparison open."""
    study = new_study()
    study.baseline({0: 0.10, 1: 0.11})
    study.baseline({0: 0.20, 1: 0.21}, lr=0.01)
    study.arm({0: 0.09, 1: 0.08}, sigma=0.3, alpha=0.5)
    table = table_of(study)
    assert table.rows[2].verdict == "no_baseline"
    assert note(table, "2 different baselines")


def test_confirmation_baseline_adds_seeds(new_study: NewStudy, table_of: BuildTable) -> None:
    """A baseline trained for the confirmation adds its seeds to the baseline."""
    study = new_study()
    study.baseline({0: 0.10, 1: 0.12})
    study.baseline({10: 0.11, 11: 0.13}, stage="confirm")
    study.arm({10: 0.09, 11: 0.12}, stage="confirm", sigma=0.3, alpha=0.5)
    baseline, confirmed = table_of(study).rows
    assert (baseline.n, baseline.stage) == (4, "grid")
    assert confirmed.improvement_percent == pytest.approx((0.12 - 0.105) / 0.12 * 100)


def test_without_a_grid_the_confirmation_has_the_baseline(uri: str, searched: str) -> None:
    """A study without a grid has the baseline of its confirmation."""
    table = build_table(uri, searched)
    assert [(row.arm.role, row.stage, row.n) for row in table.rows] == [
        ("baseline", "confirm", 3),
        ("arm", "confirm", 3),
        ("arm", "confirm", 3),
    ]
    assert all(row.improvement_percent is not None for row in table.rows[1:])


# ------------------------------------------------------------------------------------- how the points were found


def test_searched_table_says_how_points_were_found(uri: str, searched: str) -> None:
    """A searched table says how its points and its baseline were found."""
    table = build_table(uri, searched)
    assert as_json(table)["baseline_kind"] == SEARCHED_BASELINE
    assert note(table, "Searched") == (
        "Searched: 5 trials (2 pruned, 1 diverged) by validation error on 1 seed, 37 epochs in total; its best 2 were "
        "confirmed."
    )
    assert note(table, "Baseline searched") == (
        "Baseline searched: 2 trials (1 pruned) by validation error on 1 seed, 18 epochs in total; its best was "
        "confirmed."
    )


def test_a_table_without_a_search_says_nothing_of_one(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10})
    study.arm({0: 0.09}, sigma=0.3, alpha=0.5, lr=0.01)
    assert not [line for line in table_of(study).notes if "earch" in line]


def test_a_search_that_goes_on_has_confirmed_nothing_yet(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.trial(9, None, stage="search", sigma=0.3, alpha=0.5, epochs_trained=7)
    study.trial(9, None, stage="search", outcome=None, sigma=0.4, alpha=0.5)
    study.trial(9, None, role="baseline", stage="search", epochs_trained=1)
    table = table_of(study)
    assert note(table, "Searched") == (
        "Searched: 2 trials (1 running) by validation error on 1 seed, 7 epochs in total; none is confirmed yet."
    )
    assert note(table, "Baseline searched").endswith("1 seed, 1 epoch in total; none is confirmed yet.")


def test_epochs_that_only_some_runs_tell_are_a_lower_bound(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.trial(9, None, stage="search", sigma=0.3, alpha=0.5, epochs_trained=7)
    study.trial(9, None, stage="search", outcome="failed", sigma=0.4, alpha=0.5)
    assert ", at least 7 epochs in total;" in note(table_of(study), "Searched")


def test_epochs_that_no_run_tells_are_left_out(mnist_table: Table) -> None:
    assert note(mnist_table, "Searched") == "Searched: 2 trials by validation error on 1 seed; its best was confirmed."


def test_unsearched_baseline_is_noted(new_study: NewStudy, table_of: BuildTable) -> None:
    """The note says what the search chose for the arms and not for a baseline that was not searched."""
    study = new_study()
    for lr in (0.001, 0.01):
        study.trial(9, None, stage="search", sigma=0.3, alpha=0.5, lr=lr)
    study.baseline({0: 0.10}, stage="confirm")
    study.arm({0: 0.09}, stage="confirm", sigma=0.3, alpha=0.5, lr=0.01)
    assert "chose lr for its points but not for the baseline" in note(table_of(study), "The search")
    study.trial(9, None, role="baseline", stage="search", lr=0.01)
    table = table_of(study)
    assert not [line for line in table.notes if line.startswith("The search")]
    assert table.baseline_kind == "searched"


def test_confirmed_grid_point_has_two_rows(new_study: NewStudy, table_of: BuildTable) -> None:
    """A confirmed point that the grid has too is a row of each."""
    study = new_study()
    errors = {0: 0.09, 1: 0.10, 2: 0.08}
    study.baseline({0: 0.10, 1: 0.12, 2: 0.11})
    study.arm(errors, sigma=0.3, alpha=0.5)
    study.trial(9, None, stage="search", sigma=0.3, alpha=0.5)
    study.arm(errors, stage="confirm", sigma=0.3, alpha=0.5)
    table = table_of(study)
    grid, confirmed = table.rows[1:]
    assert (grid.stage, confirmed.stage) == ("grid", "confirm")
    assert grid.p_value == confirmed.p_value
    assert grid.p_corrected == pytest.approx(2 * (grid.p_value or 0))
    assert "its best was confirmed" in note(table, "Searched")
    assert not [line for line in table.notes if line.startswith("More than one")]
    assert all(render(table, format) for format in FORMATS)


def test_a_point_that_was_confirmed_twice_is_one_row(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.10, 1: 0.12}, stage="confirm")
    for sigma in ("0.3", "0.30"):
        study.trial(9, None, stage="search", sigma=sigma, alpha=0.5)
        study.arm({0: 0.09, 1: 0.10}, stage="confirm", sigma=sigma, alpha=0.5)
    table = table_of(study)
    assert [row.n for row in table.rows] == [2, 2]
    assert note(table, "More than one")
    assert "its best was confirmed" in note(table, "Searched")


# ---------------------------------------------------------------------------------- students that cost differently

NARROW, MIDDLE, WIDE = 1_000, 2_000, 4_000


@pytest.fixture
def widths(new_study: NewStudy) -> Writer:
    study = new_study()
    for student, cost, of_baseline, of_arm in (
        ("narrow", NARROW, 0.30, 0.28),
        ("middle", MIDDLE, 0.32, 0.25),
        ("wide", WIDE, 0.20, 0.25),
    ):
        study.trial(9, None, stage="search", student=student, multiplications=cost, sigma=0.3, alpha=0.5)
        given: dict[str, Any] = {"student": student, "multiplications": cost, "stage": "confirm"}
        study.baseline({0: of_baseline, 1: of_baseline + 0.01}, **given)
        study.arm({0: of_arm, 1: of_arm + 0.02}, **given, sigma=0.3, alpha=0.5)
    return study


def test_rows_say_whether_they_are_on_the_front(widths: Writer, table_of: BuildTable) -> None:
    """The front is that of error against multiplications."""
    table = table_of(widths)
    assert [(row.arm.student, row.arm.role, row.cost) for row in table.rows] == [
        ("middle", "baseline", RowCost(MIDDLE, False)),
        ("middle", "arm", RowCost(MIDDLE, True)),
        ("narrow", "baseline", RowCost(NARROW, False)),
        ("narrow", "arm", RowCost(NARROW, True)),
        ("wide", "baseline", RowCost(WIDE, True)),
        ("wide", "arm", RowCost(WIDE, False)),
    ]
    rows = as_json(table)["rows"]
    assert [(row["multiplications"], row["pareto"]) for row in rows][:2] == [(MIDDLE, False), (MIDDLE, True)]
    assert "Pareto front" in note(table, "Front")
    assert "3 of its points were confirmed" in note(table, "Searched")


def test_students_are_compared_with_their_own_baselines(widths: Writer, table_of: BuildTable) -> None:
    """Students of different cost are each compared with their own baseline."""
    improvements = {row.arm.student: row.improvement_percent for row in table_of(widths).rows if row.arm.role == "arm"}
    assert improvements == {
        "narrow": pytest.approx((0.305 - 0.29) / 0.305 * 100),
        "middle": pytest.approx((0.325 - 0.26) / 0.325 * 100),
        "wide": pytest.approx((0.205 - 0.26) / 0.205 * 100),
    }


def test_rows_that_are_equal_in_both_stand_on_the_front_together(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.1})
    study.arm({0: 0.1}, sigma=0.3, alpha=0.5)
    study.arm({0: 0.1}, sigma=0.3, alpha=0.5, student="wider", multiplications=2_000_000)
    assert [row.cost.pareto for row in table_of(study).rows if row.cost] == [True, True, False]


def test_unknown_cost_is_neither_on_nor_off_the_front(widths: Writer, table_of: BuildTable) -> None:
    """A student of unknown cost is neither on the front nor off it."""
    params = {"dataset": "mnist", "student": "own", "method": "labels", "seed": 0}
    tags = {"noisy_study.kind": "trial", "noisy_study.stage": "grid", "noisy_study.outcome": "completed"}
    widths.run(tags | {"noisy_study.role": "arm"}, params, {"test_error": 0.01})
    table = table_of(widths)
    assert arm(table, student="own").cost == RowCost(None, None)
    assert arm(table, student="wide", role="baseline").cost == RowCost(WIDE, True)
    assert note(table, "Front").endswith("Left out: 1 row whose multiplications are not known.")


def test_where_all_students_cost_the_same_there_is_no_front(mnist_table: Table) -> None:
    assert all(row.cost is None for row in mnist_table.rows)
    assert not {"pareto", "multiplications"} & as_json(mnist_table)["rows"][0].keys()
    assert not [line for line in mnist_table.notes if line.startswith("Front")]


def test_differences_without_spread_are_not_tested(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.05, 1: 0.04})
    study.arm({0: 0.04, 1: 0.03}, sigma=0.3, alpha=0.5)
    study.arm({0: 0.05, 1: 0.04}, sigma=0.4, alpha=0.5)
    table = table_of(study)
    same, none = table.rows[1:]
    assert (same.p_value, same.improvement_ci95, same.verdict) == (None, None, "no_spread")
    assert (none.p_value, none.p_corrected, none.improvement_ci95, none.verdict) == (1.0, 1.0, (0.0, 0.0), "two_seeds")
    assert "σ=0.3" in note(table, "The difference is the same")
    assert "for the 2 arms of" in note(table, "Improvement")


def test_settings_that_differ_between_rows_are_shown_by_name(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.baseline({0: 0.05})
    study.arm({0: 0.04}, method="soft_targets", sigma=0, alpha=0, temperature="4.0", lr=0.001)
    study.arm({0: 0.04}, method="soft_targets", sigma=0, alpha=0, temperature="16.0", lr=0.0005)
    table = table_of(study)
    assert table.settings == ("lr", "temperature")
    assert [dict(row.settings) for row in table.rows] == [
        {"lr": 0.001, "temperature": None},
        {"lr": 0.0005, "temperature": 16},
        {"lr": 0.001, "temperature": 4},
    ]
    assert as_json(table)["rows"][2]["temperature"] == 4


def test_the_same_number_written_differently_is_the_same_arm(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    study.trial(0, 0.1, sigma="0.30", alpha="0.5", lr="1e-3")
    study.trial(1, 0.2, sigma="0.3", alpha="5e-1", lr="0.001")
    assert [row.n for row in table_of(study).rows] == [2]


def test_arms_stand_in_numeric_order(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study()
    for sigma in ("10", "9.5", "[0.5, 1]", "0.1", "[0.01, 1]"):
        study.trial(0, 0.1, sigma=sigma, sigma_mode="uniform" if "[" in sigma else "fixed", alpha=0.5)
    assert [row.arm.sigma for row in table_of(study).rows] == [0.1, 9.5, 10.0, (0.01, 1.0), (0.5, 1.0)]


def test_frozen_noise_is_a_separate_arm(new_study: NewStudy, table_of: BuildTable) -> None:
    """Frozen noise is an arm of its own without published numbers."""
    study = new_study(published="table-1")
    study.trial(0, 0.1, sigma=0.5, alpha=0.15)
    study.trial(0, 0.1, sigma=0.5, alpha=0.15, noise="frozen")
    fresh, frozen = table_of(study).rows
    assert (fresh.arm.noise, fresh.published_error_percent) == ("fresh", 0.87)
    assert (frozen.arm.noise, frozen.published_error_percent) == ("frozen", None)


def test_published_numbers_of_another_dataset_are_kept_away(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="table-1")
    study.baseline({0: 0.1}, dataset="digits")
    table = table_of(study)
    assert table.rows[0].published_error_percent is None
    assert "is about mnist" in note(table, "No published numbers")


def test_an_unknown_published_table_is_a_note_and_not_the_end(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="table-99")
    study.baseline({0: 0.1})
    assert "`table-99`" in note(table_of(study), "The study file names a published table")


def test_dropout_is_printed_by_both_readings(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="table-5")
    cifar: dict[str, Any] = {"dataset": "cifar10", "teacher": "nin", "student": "lenet-cifar10"}
    study.baseline({0: 0.2}, **cifar)
    study.trial(0, 0.2, **cifar, method="logit_regression", dropout=0.2)
    table = table_of(study)
    assert [row.published_error_percent for row in table.rows] == [21.94, 25.34]
    assert "published error is 25.34 %" in note(table, "Drop probability 0.2")
    assert "20.41 % if it is the probability of keeping" in note(table, "Drop probability 0.2")


def test_two_teachers_are_two_arms_of_the_same_student(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(published="two-teachers")
    cifar: dict[str, Any] = {"dataset": "cifar10", "student": "lenet-cifar10", "method": "logit_regression"}
    study.baseline({0: 0.2}, **cifar, teacher="nin")
    study.trial(0, 0.2, **cifar, teacher="alexnet-cifar10")
    study.trial(0, 0.2, **cifar, teacher="nin+alexnet-cifar10")
    rows = table_of(study).rows
    assert [(row.arm.teacher, row.published_error_percent) for row in rows] == [
        ("nin", 21.94),
        ("alexnet-cifar10", 22.62),
        ("nin+alexnet-cifar10", 20.44),
    ]


def test_the_parent_run_may_say_what_the_baseline_is(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(baseline_kind="tuned over 20 trials")
    study.baseline({0: 0.1})
    table = table_of(study)
    assert table.baseline_kind == "tuned over 20 trials"
    assert note(table, "Baseline") == "Baseline: tuned over 20 trials."


def test_trial_without_test_error_is_left_out(new_study: NewStudy, table_of: BuildTable) -> None:
    """A trial without a usable test error is left out and counted."""
    study = new_study()
    study.trial(0, 0.1, sigma=0.5, alpha=0.5)
    study.trial(1, None, sigma=0.5, alpha=0.5)
    study.trial(2, math.nan, sigma=0.5, alpha=0.5)
    table = table_of(study)
    assert table.rows[0].n == 1
    assert note(table, "Left out").startswith("Left out: 2 completed trials")


def test_table_without_completed_trials_is_empty(new_study: NewStudy, table_of: BuildTable) -> None:
    """A study without completed trials has an empty table that says so."""
    study = new_study()
    study.trial(9, 0.1, stage="search", sigma=0.5, alpha=0.5)
    table = table_of(study)
    assert table.rows == ()
    assert table.notes[0].startswith("No completed trial")


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"sigma": "much"}, "`sigma` is `much`"),
        ({"sigma": "nan"}, "`sigma` is `nan`"),
        ({"sigma": "[0.1, null]"}, "`sigma` is `None`"),
        ({"alpha": "[1]"}, r"`alpha` is `\[1\]`"),
        ({"multiplications": "many"}, "`multiplications` is `many`"),
    ],
)
def test_a_parameter_that_is_no_number_is_named_with_its_run(
    new_study: NewStudy, table_of: BuildTable, params: dict[str, str], named: str
) -> None:
    study = new_study()
    settings: dict[str, Any] = {"sigma": "0.1", "alpha": "0.5", **params}
    study.trial(0, 0.1, **settings)
    with pytest.raises(UserError, match=rf"run [0-9a-f]{{32}}: parameter {named}"):
        table_of(study)


@pytest.mark.parametrize("error", [math.inf, -math.inf, 7.27, -0.01])
def test_an_error_that_is_no_share_is_named_with_its_run(
    new_study: NewStudy, table_of: BuildTable, error: float
) -> None:
    """MLflow stores an infinite value as the largest finite number, which overflows when it is squared."""
    study = new_study()
    study.baseline({0: 0.1, 1: 0.11})
    study.arm({0: 0.09}, sigma=0.1, alpha=0.5)
    wrong = study.trial(1, error, sigma=0.1, alpha=0.5)
    with pytest.raises(UserError, match=rf"run {wrong}: metric `test_error` is .*; expected a share") as raised:
        table_of(study)
    assert "\n" not in str(raised.value)
