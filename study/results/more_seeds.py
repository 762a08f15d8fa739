"""What more seeds would detect: the smallest improvement that a study finds with its seeds, and with two and four times
as many.

Works on a study that was read from the tracking server. Knows nothing of pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.results.detection import MOST_SEEDS
from study.results.power import DEFAULT_EFFECT, Plan, plans_of
from study.results.read import TrackedStudy
from study.results.rows import Row, Table
from study.results.verdicts import TESTED
from study.results.wording import count

FACTORS = (1, 2, 4)
MOST_SUBJECTS = 3
"""Students and stages that are shown: this is for the first screen of a page."""


@dataclass(frozen=True)
class Line:
    """A number of seeds and what it finds.

    Attributes:
        seeds: of every arm.
        found_percent: the smallest improvement that is found with a chance of 80 %; infinite with fewer than three.
        trainings: of the arms and their baseline, in total.
        hours: of these trainings, summed; None if no training was measured.
    """

    seeds: int
    found_percent: float
    trainings: int
    hours: float | None


@dataclass(frozen=True)
class MoreSeeds:
    """The lines of one student and stage; the first line has the seeds of the study."""

    subject: str
    lines: tuple[Line, ...]


def more_seeds(tracked: TrackedStudy) -> tuple[MoreSeeds, ...]:
    """One entry for each student and stage that has a spread, and at most three.

    The spread is the upper 80 % limit of the study's own rows, as in `noisy-study power`.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    plans = plans_of(tracked, DEFAULT_EFFECT)[:MOST_SUBJECTS]
    return tuple(MoreSeeds(plan.subject, tuple(_lines(plan))) for plan in plans)


def _lines(plan: Plan) -> list[Line]:
    numbers = dict.fromkeys(min(factor * plan.seeds, max(plan.seeds, MOST_SEEDS)) for factor in FACTORS)
    larger = [replace(plan, seeds=seeds) for seeds in numbers]
    return [Line(one.seeds, one.detectable_percent, one.trainings(one.seeds), one.hours(one.seeds)) for one in larger]


def introduction(table: Table) -> str:
    """One sentence on what is still open; empty if no arm has a verdict."""
    tested = [row for row in table.rows if row.arm.role == "arm" and row.verdict in TESTED]
    undecided = sum(row.verdict == "undecided" for row in tested)
    if not tested:
        return ""
    if undecided == 0:
        return f"{_all(tested)} decided. More seeds would find smaller improvements:"
    open_arms = f"{undecided} of {count(len(tested), 'arm')} {'is' if undecided == 1 else 'are'} undecided"
    return f"{open_arms}. More seeds decide an arm if its difference is as large as this:"


def _all(tested: Sequence[Row]) -> str:
    return "The arm is" if len(tested) == 1 else f"All {len(tested)} arms are"
