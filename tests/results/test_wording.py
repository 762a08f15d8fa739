"""Numbers in notes, as people write them."""

import pytest

from study.results.wording import two_digits


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0342, "0.034"), (7.84, "7.8"), (99.4, "99"), (99.5, "100"), (138.4, "138"), (1e6, "1000000"), (0.0, "0")],
)
def test_two_digits_have_no_exponent(number: float, text: str) -> None:
    assert two_digits(number) == text
