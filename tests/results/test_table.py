"""Tables of studies that were written into a real MLflow store: their rows, settings, notes and mistakes."""

import json
import math
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pytest
from scipy import stats
from support.handwritten import BASELINE_ERRORS
from support.tables import BuildTable, NewStudy, the_note, the_row

from study.errors import UserError
from study.results.formats.json import as_json
from study.results.rows import Table
from study.results.rule import Family, judge
from study.results.rule import by_seed as errors_by_seed

pytest_plugins = ("support.handwritten", "support.tables")


@pytest.fixture
def tracking(uri: str) -> Iterator[None]:
    """MLflow's own functions on our store, for the length of a test."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield
    mlflow.set_tracking_uri(before)


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
        row = the_row(mnist_table, sigma=tuple(json.loads(sigma)) if sigma.startswith("[") else float(sigma))
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


def test_rows_are_in_the_order_baseline_grid_confirmation(mnist_table: Table) -> None:
    """The baseline comes first, then the grid, then what was confirmed."""
    assert [(row.arm.role, row.stage, row.arm.sigma) for row in mnist_table.rows] == [
        ("baseline", "grid", None),
        ("arm", "grid", 0.1),
        ("arm", "grid", 0.5),
        ("arm", "grid", 5.0),
        ("arm", "grid", (0.01, 1.0)),
        ("arm", "confirm", 0.437),
    ]


def test_the_baseline_has_an_error_and_no_improvement(mnist_table: Table) -> None:
    row = mnist_table.rows[0]
    assert row.n == 5
    assert row.test_error_mean == pytest.approx(np.mean(list(BASELINE_ERRORS.values())))
    assert (row.arm.sigma, row.arm.alpha, row.arm.noise, row.arm.sigma_mode) == (None, None, None, None)
    assert (row.improvement_percent, row.p_value, row.p_corrected, row.verdict) == (None, None, None, "baseline")


def test_the_verdict_follows_the_corrected_test(mnist_table: Table) -> None:
    assert the_row(mnist_table, sigma=0.5).verdict == "better"
    assert the_row(mnist_table, sigma=0.1).verdict == "undecided"
    assert the_row(mnist_table, sigma=0.437).verdict == "worse"
    for row in [row for row in mnist_table.rows[1:] if row.arm.sigma != 5]:
        assert row.p_corrected is not None
        assert row.improvement_ci95 is not None
        assert row.p_value is not None
        assert (row.verdict == "undecided") == (row.p_corrected >= 0.05)
        assert (row.improvement_ci95[0] > 0 or row.improvement_ci95[1] < 0) == (row.p_corrected < 0.05)


def test_json_has_the_documented_keys_and_is_strict(mnist_table: Table) -> None:
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


def test_notes_say_baseline_seeds_and_rule(mnist_table: Table) -> None:
    assert mnist_table.baseline_kind == "default settings"
    assert the_note(mnist_table, "Rows have") == "Rows have 0 to 5 of their planned seeds (all seeds: 0, 1, 2, 3, 4)."
    assert "the variation of the student's training" in the_note(mnist_table, "Intervals")
    assert "for the 5 arms of this table" in the_note(mnist_table, "Improvement")
    assert the_note(mnist_table, "Teacher") == "Teacher lenet-mnist: test error 0.71 % (published: 0.68 %)."
    assert "1 diverged, 1 failed, 1 running" in the_note(mnist_table, "Trials without a test error")
    assert not any(line.startswith(("More than one", "Not paired", "No completed")) for line in mnist_table.notes)


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


def test_arms_are_in_numeric_order(new_study: NewStudy, table_of: BuildTable) -> None:
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


def test_the_parent_run_names_the_kind_of_baseline(new_study: NewStudy, table_of: BuildTable) -> None:
    study = new_study(baseline_kind="tuned over 20 trials")
    study.baseline({0: 0.1})
    table = table_of(study)
    assert table.baseline_kind == "tuned over 20 trials"
    assert the_note(table, "Baseline") == "Baseline: tuned over 20 trials."


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
def test_a_parameter_that_is_not_a_number_is_an_error(
    new_study: NewStudy, table_of: BuildTable, params: dict[str, str], named: str
) -> None:
    study = new_study()
    settings: dict[str, Any] = {"sigma": "0.1", "alpha": "0.5", **params}
    study.trial(0, 0.1, **settings)
    with pytest.raises(UserError, match=rf"run [0-9a-f]{{32}}: parameter {named}"):
        table_of(study)


@pytest.mark.parametrize("error", [math.inf, -math.inf, 7.27, -0.01])
def test_an_error_outside_0_to_1_is_refused(new_study: NewStudy, table_of: BuildTable, error: float) -> None:
    """MLflow stores an infinite value as the largest finite number, which overflows when it is squared."""
    study = new_study()
    study.baseline({0: 0.1, 1: 0.11})
    study.arm({0: 0.09}, sigma=0.1, alpha=0.5)
    wrong = study.trial(1, error, sigma=0.1, alpha=0.5)
    with pytest.raises(UserError, match=rf"run {wrong}: metric `test_error` is .*; expected a share") as raised:
        table_of(study)
    assert "\n" not in str(raised.value)
