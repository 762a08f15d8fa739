"""How often the 95 % intervals of one arm and its baseline hold the truth, and what pairing by seed is worth.

Studies are drawn at random, then judged by the functions that judge real ones (`study.results`). What the rule finds in
tables of several arms is measured by `benchmarks.statistics`. An arm
and its baseline have their seeds in common, so part of their errors moves together; errors are counts of a test set
of 10,000 images. Knows nothing of training. `--study` measures how much the seeds of a tracked study share.

    python -m benchmarks.coverage [--studies 2000]
    python -m benchmarks.coverage --study NAME
"""

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from study.results.read import TrackedStudy, read_study
from study.results.rule import judge
from study.results.statistics import Interval, student_interval
from study.tracking import schema
from study.tracking.address import tracking_uri

Errors = NDArray[np.float64]
"""Test errors as fractions of 1, seeds along the last axis."""

TEST_IMAGES = 10_000
SEEDS = (3, 5, 10)
STUDIES = 2000
RESAMPLES = 999


@dataclass(frozen=True)
class World:
    """What a simulated study is drawn from; errors and standard deviations are fractions of 1.

    Attributes:
        baseline, arm: mean test errors over all seeds there could be.
        shared: standard deviation of what a seed does to the baseline and to every arm alike.
        own: standard deviation of what it does to each by itself.
        skewed: the second part is exponential, as where a training now and then goes badly, instead of normal.
    """

    name: str
    baseline: float
    arm: float
    shared: float
    own: float
    skewed: bool = False

    @property
    def correlation(self) -> float:
        """Of a baseline and an arm over the seeds."""
        return self.shared**2 / (self.shared**2 + self.own**2)

    @property
    def improvement_percent(self) -> float:
        """The truth that an interval should hold."""
        return (self.baseline - self.arm) / self.baseline * 100

    def generator(self, *key: int) -> np.random.Generator:
        """The source of chance of one measurement of this world."""
        return np.random.default_rng([*self.name.encode(), *key])

    def draw(self, rng: np.random.Generator, means: Sequence[float], studies: int, seeds: int) -> Errors:
        """Errors of shape (studies, len(means), seeds) of trainings with these mean errors."""
        shared = rng.normal(0, self.shared, (studies, 1, seeds))
        size = (studies, len(means), seeds)
        own = self.own * (rng.exponential(1, size) - 1) if self.skewed else rng.normal(0, self.own, size)
        errors = np.array(means)[:, None] + shared + own
        return np.clip(np.rint(errors * TEST_IMAGES), 0, TEST_IMAGES) / TEST_IMAGES


# The spreads of the first are those of `mnist-table-1` as `--study` measures them, rounded.
WORLDS = (
    World("1.2 % error, seeds share little", 0.0120, 0.0110, shared=0.0002, own=0.0006),
    World("20 % error, seeds share much", 0.20, 0.18, shared=0.006, own=0.004),
    World("20 % error, skewed, seeds share little", 0.20, 0.18, shared=0.002, own=0.006, skewed=True),
)


@dataclass(frozen=True)
class Coverage:
    """What came of the simulated studies of one world and one number of seeds; shares are fractions of 1.

    Attributes:
        mean: share whose Student interval holds the true mean error; a study without an interval counts as a miss.
        bootstrap: the same of SciPy's percentile bootstrap.
        improvement: share whose interval by Fieller's theorem holds the true improvement.
        width: median width of the paired interval of the difference / of Welch's for unpaired samples.
    """

    mean: float
    bootstrap: float
    improvement: float
    width: float


def coverage(world: World, seeds: int, studies: int = STUDIES) -> Coverage:
    """How often the intervals of simulated studies hold the truth."""
    rng = world.generator(seeds)
    drawn = world.draw(rng, (world.baseline, world.arm), studies, seeds)
    baseline, arm = drawn[:, 0], drawn[:, 1]
    bootstrap = stats.bootstrap(
        (baseline,), np.mean, axis=-1, n_resamples=RESAMPLES, batch=100, method="percentile", rng=rng
    ).confidence_interval
    pairs = zip(baseline.tolist(), arm.tolist(), strict=True)
    compared = [judge(x, [[error] for error in y])[0] for x, y in pairs]
    return Coverage(
        mean=_share([_holds(student_interval(errors), world.baseline) for errors in baseline.tolist()]),
        bootstrap=float(np.mean((bootstrap.low <= world.baseline) & (world.baseline <= bootstrap.high))),
        improvement=_share([_holds(each.improvement_interval, world.improvement_percent) for each in compared]),
        width=_median_width([each.difference_interval for each in compared]) / (_unpaired_width(baseline, arm) * 100),
    )


def seed_correlation(tracked: TrackedStudy) -> float:
    """How much the seeds of a study have in common: the seed's share of the variance within rows.

    Estimated from the mean squares of a two-way layout, settings by seeds (Fisher's intraclass correlation); may come
    out below 0 where there is none. Rows that lack a seed are left out.

    Raises:
        ValueError: fewer than two rows with the same two seeds.
    """
    trials, seed = tracked.completed(), f"params.{schema.SEED}"
    settings = [name for name in map(str, trials.columns) if name.startswith("params.") and name != seed]
    keys = trials[settings].fillna("").agg(tuple, axis=1)
    errors = trials.pivot_table(index=keys, columns=seed, values=f"metrics.{schema.TEST_ERROR}")
    table = errors.dropna().to_numpy()
    rows, seeds = table.shape
    if rows < 2 or seeds < 2:
        raise ValueError(f"{tracked.name} has {rows} rows with all of {seeds} seeds; two of each are needed")
    of_seeds = table.mean(axis=0) - table.mean()
    residuals = table - table.mean(axis=1, keepdims=True) - of_seeds
    between = rows * float(np.sum(of_seeds**2)) / (seeds - 1)
    within = float(np.sum(residuals**2)) / ((rows - 1) * (seeds - 1))
    return (between - within) / (between + (rows - 1) * within)


def _holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def _median_width(intervals: Sequence[Interval | None]) -> float:
    return float(np.median([interval[1] - interval[0] for interval in intervals if interval is not None]))


def _unpaired_width(baseline: Errors, arm: Errors) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # counts of three seeds may be all the same
        interval = stats.ttest_ind(baseline, arm, axis=-1, equal_var=False).confidence_interval(0.95)
    return float(np.nanmedian(interval.high - interval.low))


def main() -> None:
    """Print the measurements as Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies per line")
    parser.add_argument("--study", help="a tracked study, to measure how much its seeds have in common")
    arguments = parser.parse_args()
    if arguments.study is not None:
        print(f"{seed_correlation(read_study(tracking_uri(), arguments.study)):.2f}")
        return
    print("| simulated | correlation | seeds | mean error, Student | percentile bootstrap | improvement | width |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for world in WORLDS:
        for seeds in SEEDS:
            found = coverage(world, seeds, arguments.studies)
            print(
                f"| {world.name} | {world.correlation:.2f} | {seeds} | {found.mean:.1%} | {found.bootstrap:.1%} "
                f"| {found.improvement:.1%} | {found.width:.2f} |"
            )


if __name__ == "__main__":
    main()
