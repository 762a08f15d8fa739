"""How often the rule of a table errs, and what it finds, in simulated studies.

Studies are drawn at random and judged by the functions that judge real ones (`study.results.rule`). Ten arms share a
baseline and their seeds. An error is base × (1 − improvement) × (1 + what the seed does to all + what is left), so the
improvement is known. Knows nothing of training. 2,000 studies a line; the numbers go to `benchmarks/statistics.json`
and into docs/statistics.md.

    python -m benchmarks.statistics [--studies 2000]
"""

import argparse
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.page import ROOT, publish, table
from study.results.dunnett import Floats
from study.results.rule import LEVEL, Family, contrasts, half_widths, improvement_limits

PAGE = ROOT / "docs" / "statistics.md"
NAME = "statistics"
STUDIES = 2000
ARMS = 10
SEEDS = (3, 5, 10)
MOST_FALSE, LEAST_COVERAGE = 0.065, 0.935
"""What the page promises, with room for the chance of 2,000 studies."""


@dataclass(frozen=True)
class Kind:
    """A kind of data set.

    Attributes:
        spread: standard deviation of an error over seeds / mean error.
        correlation: of the errors of two arms over the seeds.
        improvement: of the arms that are better, as a fraction of 1.
        collapsed: error of a collapsed training / mean error.
        promised: the least power, by number of seeds.
    """

    name: str
    spread: float
    correlation: float
    improvement: float
    collapsed: float
    promised: Mapping[int, float]


KINDS = (
    Kind("like MNIST", 0.05, 0.1, 0.10, 75.0, {5: 0.45}),
    Kind("like CIFAR-10", 0.02, 0.7, 0.05, 4.5, {3: 0.65}),
)

Draw = Callable[[np.random.Generator, int, int], Floats]
"""Gives what is left of each training, (studies, seeds, 1 + arms), of about mean 0 and spread 1; the baseline first."""


def _normal(factors: Iterable[float]) -> Draw:
    spreads = np.array(list(factors))
    return lambda rng, studies, seeds: rng.normal(0, 1, (studies, seeds, 1 + ARMS)) * spreads


def _one_to_three(rng: np.random.Generator, studies: int, seeds: int) -> Floats:
    factors = np.exp(rng.uniform(0, math.log(3), (studies, 1, 1 + ARMS)))
    return rng.normal(0, 1, (studies, seeds, 1 + ARMS)) * factors


def _skewed(rng: np.random.Generator, studies: int, seeds: int) -> Floats:
    return rng.exponential(1, (studies, seeds, 1 + ARMS)) - 1


COLLAPSED = "one training in 30 collapses"
WORLDS: Mapping[str, Draw] = {
    "equal spreads": _normal([1.0] * (1 + ARMS)),
    "spreads of 1 to 3 times": _one_to_three,
    "one arm at 4 times the spread": _normal([1.0] * ARMS + [4.0]),
    "the baseline at 3 times the spread": _normal([3.0] + [1.0] * ARMS),
    "skewed: now and then a bad training": _skewed,
    "spread grows with σ, to 4 times": _normal([1.0, *(1 + 3 * np.linspace(0.1, 1, ARMS))]),
    COLLAPSED: _normal([1.0] * (1 + ARMS)),
}


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


def errors(kind: Kind, world: str, improvements: Floats, studies: int, seeds: int) -> Floats:
    """Errors / mean error of the baseline, (studies, seeds, 1 + arms)."""
    rng = np.random.default_rng([*kind.name.encode(), *world.encode(), seeds, int(1000 * improvements.sum())])
    shared = kind.spread * math.sqrt(kind.correlation) * rng.normal(0, 1, (studies, seeds, 1))
    own = kind.spread * math.sqrt(1 - kind.correlation) * WORLDS[world](rng, studies, seeds)
    drawn = 1 + shared + own
    if world == COLLAPSED:
        drawn = np.where(rng.uniform(size=drawn.shape) < 1 / 30, kind.collapsed, drawn)
    return np.asarray(drawn * (1 - np.append(0, improvements)))


def measure(kind: Kind, world: str, seeds: int, studies: int = STUDIES) -> Line:
    """Simulate and judge the studies of one line."""
    family = Family(ARMS)
    nothing = np.zeros(ARMS)
    drawn = errors(kind, world, nothing, studies, seeds)
    found = contrasts(drawn[..., 0], drawn[..., 1:])
    named = np.abs(found.difference) > half_widths(found, family)

    half = np.where(np.arange(ARMS) % 2 == 0, kind.improvement, 0)
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


if __name__ == "__main__":
    main()
