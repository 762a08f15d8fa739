"""The printed numbers, and what is found for a setting."""

import pytest

from search_spaces.published import (
    SIGMAS,
    TABLES,
    dropout_readings,
    find_published,
    published_improvement_percent,
    published_table,
    published_teacher_percent,
)
from study.errors import UserError


def error(table: str, student: str, method: str = "noisy_teacher", **setting: object) -> float | None:
    found = find_published(table, student=student, method=method, **setting)  # type: ignore[arg-type]
    return None if found is None else found.error_percent


# The "% Improvement" column as the paper prints it.
PRINTED_IMPROVEMENTS = {
    "table-1": ("fc800", [1.0, 4.1, 3.1, 10.3, 10.3, 7.2, 7.2, 11.3, 11.3, 10.3]),
    "table-2": ("lenet-svhn", [2.0, 3.0, 3.3, 1.3, 0.7, 2.0, -0.2, -1.7, -2.6, -4.6]),
    "table-3": ("lenet-cifar10", [4.1, 7.6, 8.4, 9.8, 12.2, 12.7, 11.6, 14.7, 14.9, 13.6]),
}


@pytest.mark.parametrize(("table", "alpha"), [("table-1", 0.15), ("table-2", 0.15), ("table-3", 0.5)])
def test_the_printed_improvements_follow_from_the_printed_errors(table: str, alpha: float) -> None:
    student, printed = PRINTED_IMPROVEMENTS[table]
    for sigma, improvement in zip(SIGMAS, printed, strict=True):
        entry = find_published(table, student=student, method="noisy_teacher", sigma=sigma, alpha=alpha)
        assert entry is not None
        # The paper cuts some of its improvements off instead of rounding them.
        assert published_improvement_percent(table, entry) == pytest.approx(improvement, abs=0.1)


def test_table_4_varies_alpha_and_shares_a_point_with_table_3() -> None:
    assert error("table-4", "lenet-cifar10", sigma=0.6, alpha=0.8) == 18.93
    assert error("table-4", "lenet-cifar10", sigma=0.6, alpha=0.5) == error(
        "table-3", "lenet-cifar10", sigma=0.6, alpha=0.5
    )


def test_every_baseline_is_found_and_has_no_improvement() -> None:
    baselines = [(table.name, entry) for table in TABLES.values() for entry in table.baselines]
    assert len(baselines) == 10
    for name, entry in baselines:
        assert error(name, entry.student, "logit_regression", teachers=entry.teachers) == entry.error_percent
        assert published_improvement_percent(name, entry) is None


def test_random_sigma_is_its_range() -> None:
    assert error("random-sigma", "lenet-cifar10", sigma=(0.01, 1.0), alpha=0.5) == 19.08
    assert error("random-sigma", "lenet-cifar10", sigma=0.5, alpha=0.5) is None
    assert error("table-3", "lenet-cifar10", sigma=(0.01, 1.0), alpha=0.5) is None


def test_the_order_of_two_teachers_has_no_effect() -> None:
    for teachers in (("nin", "alexnet-cifar10"), ("alexnet-cifar10", "nin")):
        assert error("two-teachers", "lenet-cifar10", "logit_regression", teachers=teachers) == 20.44
    assert error("two-teachers", "lenet-cifar10", "logit_regression", teachers=("alexnet-cifar10",)) == 22.62
    assert error("two-teachers", "lenet-cifar10", "logit_regression", teachers=("nin",)) == 21.94


def test_table_6_has_one_error_for_all_of_its_sigmas() -> None:
    assert error("table-6", "student1", sigma=0.1, alpha=0.5) == 15.65
    assert error("table-6", "student3", sigma=0.9, alpha=0.5) == 21.01
    assert error("table-6", "student1", sigma=1.5, alpha=0.5) is None
    assert error("table-6", "student1", sigma=(0.01, 1.0), alpha=0.5) is None


def test_dropout_is_found_by_the_ratio_as_printed() -> None:
    assert error("table-5", "lenet-cifar10", "logit_regression", dropout=0.8) == 20.41
    assert error("table-5", "lenet-cifar10", "logit_regression", dropout=0) == 21.94
    assert error("table-3", "lenet-cifar10", "logit_regression", dropout=0.5) is None


def test_both_readings_of_the_dropout_ratio_are_at_hand() -> None:
    assert dropout_readings(0.2) == (25.34, 20.41)
    assert dropout_readings(0.9) == (22.18, 26.48)
    assert dropout_readings(0.25) == (None, None)


def test_a_setting_that_is_not_printed_has_no_number() -> None:
    assert error("table-1", "fc800", sigma=0.437, alpha=0.15) is None
    assert error("table-1", "fc800", sigma=0.5, alpha=0.5) is None
    assert error("table-1", "fc800", sigma=0.5, alpha=0.15, teachers=("nin",)) is None
    assert error("table-1", "lenet-svhn", sigma=0.5, alpha=0.15) is None


def test_rounding_of_a_grid_does_not_hide_a_number() -> None:
    assert error("table-1", "fc800", sigma=0.1 + 0.2, alpha=0.15) == 0.94


def test_the_claim_without_errors_is_a_claim() -> None:
    table = published_table("stetsenko")
    assert table.claim_percent == 11.0
    assert not table.errors
    assert table.remark is not None


def test_an_unknown_table_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no table `table-7`.*table-1.*two-teachers"):
        published_table("table-7")


def test_every_table_says_where_it_is_printed() -> None:
    assert all(table.source.title in table.citation and table.section in table.citation for table in TABLES.values())


def test_teachers_errors_depend_on_the_dataset() -> None:
    assert published_teacher_percent("svhn", "nin") == 3.82
    assert published_teacher_percent("cifar10", "nin") == 8.4
    assert published_teacher_percent("mnist", "nin") is None
