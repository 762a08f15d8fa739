"""Rounds are fixed before the first training."""

import pytest

from study.planning.rounds import rounds_of


@pytest.mark.parametrize(
    ("first", "at_most", "expected"),
    [
        (3, 20, (3, 5, 8, 12, 20)),
        (5, 20, (5, 8, 12, 20)),
        (3, 10, (3, 5, 8, 10)),
        (4, 5, (4, 5)),
        (3, 3, (3,)),
        (6, 25, (6, 8, 12, 20, 25)),
    ],
)
def test_rounds_go_from_first_to_at_most(first: int, at_most: int, expected: tuple[int, ...]) -> None:
    assert rounds_of(first, at_most) == expected


@pytest.mark.parametrize(("first", "at_most"), [(5, 3), (0, 3)])
def test_impossible_rounds_are_refused(first: int, at_most: int) -> None:
    with pytest.raises(ValueError, match="first <= at_most"):
        rounds_of(first, at_most)
