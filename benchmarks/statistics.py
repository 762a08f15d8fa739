"""How often the rule of a table errs, and what it finds, in simulated studies.

Studies are drawn at random (`benchmarks.simulated`) and judged by the functions that judge real ones
(`study.results.rule`). Ten arms share a baseline and their seeds. Knows nothing of training. 2,000 studies a line. The
numbers go to `benchmarks/statistics.json` and into docs/statistics.md, and so do those of studies whose seeds are not
fixed (`benchmarks.sequential`).

    python -m benchmarks.statistics [--studies 2000]
"""

import argparse
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks import sequential
from benchmarks.page import ROOT, publish, table
from benchmarks.simulated import ARMS, KINDS, STUDIES, WORLDS, Kind, errors, half_better
from study.results.rule import LEVEL, Family, contrasts, half_widths, improvement_limits

PAGE = ROOT / "docs" / "statistics.md"
NAME = "statistics"
SEEDS = (3, 5, 10)
MOST_FALSE, LEAST_COVERAGE = 0.065, 0.935
"""What the page promises, with room for the chance of 2,000 studies."""


@dataclass(frozen=True)
class Line:
    """What came of the studies of one line; shares are fractions of 1.

    Attributes:
        false: studies without any effect in which an arm is called better or worse.
        coverage: studies, half of whose arms are better, in which every interval of the improvement holds the truth.
        power: of the arms that are better, the share that is called so.
    """

    kind: str
    world: str
    seeds: int
    false: float
    coverage: float
    power: float


def measure(kind: Kind, world: str, seeds: int, studies: int = STUDIES) -> Line:
    """Simulate and judge the studies of one line."""
    family = Family(ARMS)
    nothing = np.zeros(ARMS)
    drawn = errors(kind, world, nothing, studies, seeds)
    found = contrasts(drawn[..., 0], drawn[..., 1:])
    named = np.abs(found.difference) > half_widths(found, family)

    half = half_better(kind)
    drawn = errors(kind, world, half, studies, seeds)
    found = contrasts(drawn[..., 0], drawn[..., 1:])
    low, high = improvement_limits(found, family)
    missed = (low > half) | (high < half)  # an interval that is unbounded, NaN, holds everything
    better = found.difference > half_widths(found, family)
    return Line(
        kind.name,
        world,
        seeds,
        false=float(named.any(axis=1).mean()),
        coverage=float(1 - missed.any(axis=1).mean()),
        power=float(better[:, half > 0].mean()),
    )


def page(lines: Iterable[Line]) -> str:
    """The lines as Markdown."""
    head = ("10 arms", "kind", "seeds", "tables that name one falsely", "all intervals hold the truth", "power")
    return table(
        head,
        (
            (each.world, each.kind, each.seeds, f"{each.false:.1%}", f"{each.coverage:.1%}", f"{each.power:.2f}")
            for each in lines
        ),
    )


def broken(lines: Iterable[Line]) -> list[str]:
    """The promises of the page that a line does not keep."""
    found = []
    promised = {kind.name: kind.promised for kind in KINDS}
    for line in lines:
        where = f"{line.kind}, {line.world}, {line.seeds} seeds"
        if line.false > MOST_FALSE:
            found.append(f"{where}: {line.false:.1%} of tables name one falsely")
        if line.coverage < LEAST_COVERAGE:
            found.append(f"{where}: all intervals hold the truth in {line.coverage:.1%}")
        least = promised[line.kind].get(line.seeds, 0) if line.world == "equal spreads" else 0
        if line.power < least:
            found.append(f"{where}: power {line.power:.2f}, not {least:.2f}")
    return found


def main() -> None:
    """Measure every line, and publish them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies a line")
    parser.add_argument("--dry", action="store_true", help="print the table and write nothing")
    arguments = parser.parse_args()
    lines = [measure(kind, world, seeds, arguments.studies) for kind in KINDS for world in WORLDS for seeds in SEEDS]
    print(page(lines))
    for each in broken(lines):
        print(f"not kept: {each}")
    if not arguments.dry:
        numbers = {
            "level": LEVEL,
            "arms": ARMS,
            "studies": arguments.studies,
            "lines": [asdict(each) for each in lines],
        }
        print(publish(PAGE, NAME, page(lines), numbers))
    sequential.run(PAGE, arguments.studies, arguments.dry)


if __name__ == "__main__":
    main()
