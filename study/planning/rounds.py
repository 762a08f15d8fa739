"""The rounds of a study whose seeds are not fixed: after how many seeds it looks at its results.

Pure functions on numbers. Knows nothing of trainings or verdicts. The rounds are fixed before the first training, so
the results cannot influence when they are looked at.
"""

STEPS = (3, 5, 8, 12, 20, 32, 50, 80, 125, 200, 320, 500, 800)
"""Seeds at the end of the rounds of every study; each is about 1.6 times the one before."""


def rounds_of(first: int, at_most: int) -> tuple[int, ...]:
    """How many seeds each round ends with, ascending: `first`, the steps between the two, and `at_most`.

    Args:
        first: seeds of the first round, at least 1.
        at_most: seeds of the last round, at least `first`.

    Raises:
        ValueError: `first` is below 1 or above `at_most`.
    """
    if not 1 <= first <= at_most:
        raise ValueError(f"rounds from {first} to {at_most} seeds; expected 1 <= first <= at_most")
    between = (step for step in STEPS if first < step < at_most)
    return (first, *between, at_most) if first < at_most else (first,)
