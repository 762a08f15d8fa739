"""The stages of a study: their names, their order, and the words that people read.

A trial belongs to one of four stages (`Stage`). A study may go through a stage more than once: teachers of teachers are
trained level by level, and the baseline may have a search of its own. Each pass has a name that begins with its stage
(`teacher-1`, `search-baseline`). The names are stored in journals and on the tracking server; do not change them.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

Stage = Literal["teacher", "grid", "search", "confirm"]
"""What a trial is for."""

TEACHER: Final = "teacher"
GRID: Final = "grid"
SEARCH: Final = "search"
CONFIRM: Final = "confirm"

STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which they run."""

STAGES_OF_STUDENTS: tuple[Stage, ...] = tuple(stage for stage in STAGES if stage != TEACHER)

STAGES_OF_A_TABLE: tuple[Stage, ...] = (GRID, CONFIRM)
"""The stages whose test errors enter a table. A search chooses points by its trials' errors, so those are biased."""

SEARCH_BASELINE: Final = "search-baseline"
"""The pass in which a baseline's own settings are searched."""

WORDS: Mapping[str, str] = {TEACHER: "teachers", GRID: "grid", SEARCH: "search", CONFIRM: "confirmation"}
"""How a stage is called on a terminal and in figures."""


def teacher_pass(level: int) -> str:
    """The name of the pass that trains the teachers of a level; level 0 has no teachers of its own."""
    return TEACHER if level == 0 else f"{TEACHER}-{level}"


def stage_of(name: str) -> Stage:
    """The stage that a pass belongs to.

    Raises:
        ValueError: no pass has this name.
    """
    stage = name.partition("-")[0]
    if stage not in STAGES:
        raise ValueError(f"{name}: expected a name that begins with one of {', '.join(STAGES)}")
    return stage
