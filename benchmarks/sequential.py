"""How often a study of growing seeds errs, what it finds, and how many trainings it takes.

Studies are drawn at random (`benchmarks.simulated`) and judged look by look as real ones are (`study.results.looks`),
thousands at once. Arms that a look decides, or finds futile, get no more seeds. Beside it stands the fixed design of
equal power: the number of seeds with which the same rule, in one look, finds as many of the better arms. Knows nothing
of training. `python -m benchmarks.statistics` runs this too.

    python -m benchmarks.sequential [--studies 2000] [--dry]
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import special

from benchmarks.page import ROOT, publish, table
from benchmarks.simulated import ARMS, COLLAPSED, KINDS, STUDIES, WORLDS, Kind, errors, half_better
from study.planning.rounds import rounds_of
from study.results.dunnett import Floats
from study.results.looks import LEAST_CHANCE, chance_to_decide
from study.results.rule import LEVEL, Family, contrasts, half_widths, improvement_limits
from study.results.spending import levels

NAME, SPENDING = "sequential", "spending"
DESIGNS = ((3, 20), (5, 20), (3, 8))
"""First and last number of seeds of the studies."""

MOST_FALSE, LEAST_COVERAGE = 0.065, 0.935
"""What the page promises, with room for the chance of 2,000 studies."""

MOST_SHARE = 0.70
"""Most trainings / those of the fixed design, like MNIST with 20 seeds at most, where no training collapses."""

MOST_FIXED_SEEDS = 40
SPENDING_WORLDS = ("equal spreads", "one arm at 4 times the spread", "spread grows with σ, to 4 times")


@dataclass(frozen=True)
class Ended:
    """What became of the arms of many studies.

    Attributes:
        finding: 1 better, −1 worse, 0 undecided; (studies, arms).
        low, high: interval of the improvement at the look that ended the arm, (studies, arms); NaN: unbounded.
        trainings: of arms and baseline, (studies,).
    """

    finding: Floats
    low: Floats
    high: Floats
    trainings: Floats


@dataclass(frozen=True)
class Line:
    """What came of the studies of one line; shares are fractions of 1.

    Attributes:
        false: studies without any effect in which an arm is called better or worse.
        coverage: studies, half of whose arms are better, in which every interval of the improvement holds the truth.
        power: of the arms that are better, the share that is called so.
        trainings: mean of the studies half of whose arms are better.
        trainings_without_effect: mean of the studies without any effect.
        fixed_seeds: with which one look at fixed seeds has this power, between whole numbers of seeds; None: with no
            number from 3 to 40.
    """

    kind: str
    world: str
    first: int
    at_most: int
    false: float
    coverage: float
    power: float
    trainings: float
    trainings_without_effect: float
    fixed_seeds: float | None

    @property
    def share(self) -> float | None:
        """Trainings / those of the fixed design."""
        return None if self.fixed_seeds is None else self.trainings / (self.fixed_seeds * (1 + ARMS))


def looked_at(
    drawn: Floats,
    rounds: Sequence[int],
    of_looks: Sequence[float],
    smallest_effect: float | None = None,
    least_chance: float = LEAST_CHANCE,
) -> Ended:
    """Judge many studies look by look, as `study.results.looks.look` judges one.

    Args:
        drawn: errors, (studies, seeds, 1 + arms), the baseline first.
        rounds: seeds at each look.
        of_looks: their levels.
        smallest_effect: per cent.
        least_chance: arms with a smaller chance to be decided stop early; 0: none does.
    """
    studies, _, columns = drawn.shape
    arms = columns - 1
    is_open = np.ones((studies, arms), dtype=bool)
    finding, low, high = (np.full((studies, arms), value) for value in (0.0, math.nan, math.nan))
    trainings, before = np.zeros(studies), 0
    for seeds, level in zip(rounds, of_looks, strict=True):
        trainings += (seeds - before) * (is_open.sum(axis=1) + is_open.any(axis=1))
        before, family = seeds, Family(arms, level)
        with np.errstate(invalid="ignore"):
            found = contrasts(drawn[:, :seeds, 0], np.where(is_open[:, None, :], drawn[:, :seeds, 1:], np.nan))
            half = half_widths(found, family)
            lower, upper = improvement_limits(found, family)
            is_decided = is_open & (np.abs(found.difference) > half)
            finding = np.where(is_decided, np.sign(found.difference), finding)
            if smallest_effect is not None:
                is_decided |= is_open & (-smallest_effect / 100 < lower) & (upper < smallest_effect / 100)
            if seeds == rounds[-1]:
                ends = is_open
            else:
                chance = chance_to_decide(found, rounds[-1], Family(arms, of_looks[-1]), smallest_effect)
                ends = is_decided | (is_open & (chance < least_chance))
        low, high = np.where(ends, lower, low), np.where(ends, upper, high)
        is_open &= ~ends
    return Ended(finding, low, high, trainings)


def measure(kind: Kind, world: str, first: int, at_most: int, studies: int = STUDIES) -> Line:
    """Simulate and judge the studies of one line."""
    rounds = rounds_of(first, at_most)
    of_looks = levels(rounds, LEVEL)
    without = looked_at(errors(kind, world, np.zeros(ARMS), studies, at_most), rounds, of_looks)
    improvement = half_better(kind)
    half = looked_at(errors(kind, world, improvement, studies, at_most), rounds, of_looks)
    missed = (half.low > improvement) | (half.high < improvement)  # an unbounded interval, NaN, holds everything
    power = float((half.finding[:, improvement > 0] > 0).mean())
    return Line(
        kind.name,
        world,
        first,
        at_most,
        false=float((without.finding != 0).any(axis=1).mean()),
        coverage=float(1 - missed.any(axis=1).mean()),
        power=power,
        trainings=float(half.trainings.mean()),
        trainings_without_effect=float(without.trainings.mean()),
        fixed_seeds=fixed_seeds(kind, world, power, studies),
    )


def fixed_seeds(kind: Kind, world: str, power: float, studies: int) -> float | None:
    """With how many seeds one look has a power, between whole numbers of seeds; None: with no number up to 40."""
    most = 1 - 0.5 / (studies * ARMS / 2)  # a larger power cannot be told from 1
    asked = special.ndtri(min(power, most))
    before: float | None = None
    for seeds in range(3, MOST_FIXED_SEEDS + 1):
        reached = float(special.ndtri(min(_fixed_power(kind.name, world, seeds, studies), most)))
        if reached >= asked:
            return float(seeds) if before is None else seeds - 1 + (asked - before) / (reached - before)
        before = reached
    return None


@lru_cache(maxsize=1000)
def _fixed_power(kind_name: str, world: str, seeds: int, studies: int) -> float:
    (kind,) = (each for each in KINDS if each.name == kind_name)
    improvement = half_better(kind)
    drawn = errors(kind, world, improvement, studies, seeds)
    found = contrasts(drawn[..., 0], drawn[..., 1:])
    return float((found.difference > half_widths(found, Family(ARMS)))[:, improvement > 0].mean())


@dataclass(frozen=True)
class Spending:
    """One way to divide the level over the looks of 3, 5, 8, 12 and 20 seeds; shares as in `Line`."""

    way: str
    kind: str
    world: str
    false: float
    power: float
    trainings: float


def spendings(studies: int = STUDIES) -> list[Spending]:
    """Ways to divide the level, compared."""
    rounds = rounds_of(3, 20)
    ways: dict[str, Sequence[float]] = {
        "Lan and DeMets, like Pocock": levels(rounds, LEVEL),
        "sum 5 %, proportional to the seeds": [LEVEL * seeds / sum(rounds) for seeds in rounds],
        "sum 5 %, equal": [LEVEL / len(rounds)] * len(rounds),
    }
    found = []
    for kind in KINDS:
        improvement = half_better(kind)
        for world in SPENDING_WORLDS:
            without = errors(kind, world, np.zeros(ARMS), studies, rounds[-1])
            half = errors(kind, world, improvement, studies, rounds[-1])
            for way, of_looks in ways.items():
                false = float((looked_at(without, rounds, of_looks).finding != 0).any(axis=1).mean())
                ended = looked_at(half, rounds, of_looks)
                power = float((ended.finding[:, improvement > 0] > 0).mean())
                found.append(Spending(way, kind.name, world, false, power, float(ended.trainings.mean())))
    return found


def most_false_without_futility(studies: int = STUDIES) -> float:
    """Of the worlds, and of one, three and ten arms: the largest share of studies of 3 to 20 seeds that err.

    No arm stops early. The last arms of a world are taken: one of them may spread more than the others.
    """
    rounds = rounds_of(3, 20)
    found = []
    for kind in KINDS:
        for world in WORLDS:
            drawn = errors(kind, world, np.zeros(ARMS), studies, rounds[-1])
            for arms in (1, 3, ARMS):
                chosen = drawn[..., [0, *range(1 + ARMS - arms, 1 + ARMS)]]
                ended = looked_at(chosen, rounds, levels(rounds, LEVEL), least_chance=0)
                found.append(float((ended.finding != 0).any(axis=1).mean()))
    return max(found)


def page(lines: Iterable[Line]) -> str:
    """The lines as Markdown."""
    head = (
        "10 arms",
        "kind",
        "seeds",
        "name one falsely",
        "all intervals hold the truth",
        "power",
        "trainings",
        "fixed seeds of equal power: trainings",
        "share",
    )
    return table(
        head,
        (
            (
                each.world,
                each.kind,
                f"{each.first} to {each.at_most}",
                f"{each.false:.1%}",
                f"{each.coverage:.1%}",
                f"{each.power:.2f}",
                f"{each.trainings:.0f}",
                "none" if each.fixed_seeds is None else f"{each.fixed_seeds * (1 + ARMS):.0f}",
                "" if each.share is None else f"{each.share:.0%}",
            )
            for each in lines
        ),
    )


def spending_page(lines: Iterable[Spending], most_false: float) -> str:
    """The ways to divide the level, and how often studies err without futility, as Markdown."""
    head = ("10 arms", "kind", "levels of the looks", "name one falsely", "power", "trainings")
    rows = (
        (each.world, each.kind, each.way, f"{each.false:.1%}", f"{each.power:.2f}", f"{each.trainings:.0f}")
        for each in lines
    )
    return (
        f"{table(head, rows)}\n\nWithout futility, in every world, with one, three and ten arms: "
        f"at most {most_false:.1%} of the studies name one falsely."
    )


def broken(lines: Iterable[Line]) -> list[str]:
    """The promises of the page that a line does not keep."""
    found = []
    for line in lines:
        where = f"{line.kind}, {line.world}, {line.first} to {line.at_most} seeds"
        if line.false > MOST_FALSE:
            found.append(f"{where}: {line.false:.1%} of studies name one falsely")
        if line.coverage < LEAST_COVERAGE:
            found.append(f"{where}: all intervals hold the truth in {line.coverage:.1%}")
        needs_many_seeds = line.kind == KINDS[0].name and line.at_most == 20 and line.world != COLLAPSED
        if needs_many_seeds and (line.share is None or line.share > MOST_SHARE):
            found.append(f"{where}: {line.trainings:.0f} trainings are more than 70 % of the fixed design's")
    return found


def run(page_file: Path, studies: int, dry: bool) -> None:
    """Measure every line; print them, and publish them unless `dry`."""
    lines = [measure(kind, world, *design, studies) for design in DESIGNS for kind in KINDS for world in WORLDS]
    ways, most_false = spendings(studies), most_false_without_futility(studies)
    print(page(lines), spending_page(ways, most_false), sep="\n\n")
    for each in broken(lines):
        print(f"not kept: {each}")
    if not dry:
        numbers: dict[str, object] = {"level": LEVEL, "arms": ARMS, "studies": studies, "least_chance": LEAST_CHANCE}
        print(publish(page_file, NAME, page(lines), {**numbers, "lines": [asdict(each) for each in lines]}))
        numbers |= {"most_false_without_futility": most_false, "lines": [asdict(each) for each in ways]}
        print(publish(page_file, SPENDING, spending_page(ways, most_false), numbers))


def main() -> None:
    """Measure every line, and publish them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies a line")
    parser.add_argument("--dry", action="store_true", help="print the tables and write nothing")
    arguments = parser.parse_args()
    run(ROOT / "docs" / "statistics.md", arguments.studies, arguments.dry)


if __name__ == "__main__":
    main()
