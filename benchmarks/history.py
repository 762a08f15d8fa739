"""Whether a trial late in a long study costs more than one early in it: samplers and storages slow down as they fill.

One study of some 3,000 trials that train nothing (`benchmarks.untrained`), with two workers, once as a planned grid and
once as a search by TPE: seconds from one trial's end to the next, on average over the 100 trials around each place.
Such a study takes minutes, in which a machine may slow down: a fixed piece of work is timed at every trial's end, and
growth is told in units of it too.

    python -m benchmarks.history [--samplers grid tpe] [--trials 3050]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.page import PERFORMANCE, publish, stored, table
from benchmarks.untrained import Clock, run, study_of

PLACES = (100, 1000, 3000)


@dataclass(frozen=True)
class Result:
    """One study.

    Attributes:
        seconds: per trial, at each of `PLACES`.
        processor: the driver's processor seconds per trial, at each of them.
        yardstick, yardstick_processor: the same two of a fixed piece of work.
        mebibytes: by which the driver's peak memory grows with every trial, between the first and the last of them.
        total: of the whole study, everything delivered to the tracking server.
    """

    sampler: str
    trials: int
    seconds: list[float]
    processor: list[float]
    yardstick: list[float]
    yardstick_processor: list[float]
    mebibytes: float
    total: float

    @property
    def growth(self) -> float:
        return self.seconds[-1] / self.seconds[0]

    @property
    def growth_by_yardstick(self) -> float:
        """Of the seconds, in units of the yardstick's."""
        return self.growth * self.yardstick[0] / self.yardstick[-1]

    @property
    def processor_growth_by_yardstick(self) -> float:
        """Of the driver's processor seconds, in units of the yardstick's."""
        first, last = (self.processor[at] / self.yardstick_processor[at] for at in (0, -1))
        return last / first


def measure(sampler: str, trials: int) -> Result:
    clock = Clock("grid" if sampler == "grid" else "search")
    total = run(study_of(trials, sampler), clock)
    moments = [clock.around(place) for place in PLACES]
    grown = clock.ends[PLACES[-1] - 1].peak_mebibytes - clock.ends[PLACES[0] - 1].peak_mebibytes
    result = Result(
        sampler,
        trials,
        seconds=[moment.at for moment in moments],
        processor=[moment.processor for moment in moments],
        yardstick=[moment.yardstick for moment in moments],
        yardstick_processor=[moment.yardstick_processor for moment in moments],
        mebibytes=grown / (PLACES[-1] - PLACES[0]),
        total=total,
    )
    print(result, file=sys.stderr)
    return result


def as_markdown(results: Sequence[Result]) -> str:
    head = (
        "trials from",
        *(f"{place:,}th, s" for place in PLACES),
        "last / first",
        "by the yardstick",
        "driver's processor, ms",
        "last / first by the yardstick",
        "its memory, KiB a trial",
        "whole study, s per trial",
    )
    rows = [
        [
            "a planned grid" if result.sampler == "grid" else f"a search, {result.sampler.upper()}",
            *(f"{each:.3f}" for each in result.seconds),
            f"{result.growth:.2f}",
            f"{result.growth_by_yardstick:.2f}",
            ", ".join(f"{1000 * each:.0f}" for each in result.processor),
            f"{result.processor_growth_by_yardstick:.2f}",
            f"{1024 * result.mebibytes:.0f}",
            f"{result.total / result.trials:.3f}",
        ]
        for result in results
    ]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=["grid", "tpe"], help="those left out keep their numbers")
    parser.add_argument("--trials", type=int, default=PLACES[-1] + 50)
    arguments = parser.parse_args()
    known = {each["sampler"]: Result(**each) for each in stored("history", [])}
    known |= {sampler: measure(sampler, arguments.trials) for sampler in arguments.samplers}
    results = list(known.values())
    publish(PERFORMANCE, "history", as_markdown(results), [asdict(result) for result in results])


if __name__ == "__main__":
    main()
