"""Stages have one order and one set of names, which journals and tracking servers keep."""

import pytest

from study.stages import SEARCH_BASELINE, STAGES, STAGES_OF_STUDENTS, WORDS, stage_of, teacher_pass


def test_stages_run_in_this_order() -> None:
    assert STAGES == ("teacher", "grid", "search", "confirm")
    assert STAGES[1:] == STAGES_OF_STUDENTS
    assert set(WORDS) == set(STAGES)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        *((stage, stage) for stage in STAGES),
        (SEARCH_BASELINE, "search"),
        (teacher_pass(0), "teacher"),
        (teacher_pass(2), "teacher"),
    ],
)
def test_the_name_of_a_pass_begins_with_its_stage(name: str, stage: str) -> None:
    assert stage_of(name) == stage


def test_a_name_of_no_stage_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a name that begins with one of teacher, grid, search, confirm"):
        stage_of("pilot")
