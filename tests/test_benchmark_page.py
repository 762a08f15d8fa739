"""Where the benchmarks' numbers go."""

import pytest

from benchmarks.page import spread, table, with_block

PAGE = "# Page\n\n<!-- measured: speed begin -->\nold\n<!-- measured: speed end -->\n\nafter\n"


def test_block_replaces_only_the_one_before_it() -> None:
    """A block takes the place of the earlier block of its name and of nothing else."""
    once = with_block(PAGE, "speed", "new")
    assert once == "# Page\n\n<!-- measured: speed begin -->\n\nnew\n\n<!-- measured: speed end -->\n\nafter\n"
    assert with_block(once, "speed", "new\n") == once


@pytest.mark.parametrize(
    "page", ["", PAGE.replace("speed end", "memory end"), PAGE.replace("speed begin", "memory begin")]
)
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="measured: speed begin"):
        with_block(page, "speed", "new")


def test_a_table_is_markdown() -> None:
    assert table(("what", "ratio"), [("a", 1.5)]) == "| what | ratio |\n| --- | ---: |\n| a | 1.5 |"


def test_rounds_are_told_by_their_median_and_spread() -> None:
    assert spread([3.0, 1.0, 2.0], ".1f") == "2.0 (1.0 to 3.0)"
