"""Images per second of a student's training inside a study, against the ways to train it without one.

Every round runs each way in turn. The study is a real one (Ray, Optuna, MLflow, checkpoints) with as many workers as
there are cores, which train the seeds of an arm. Counted are the epochs after a trial's first, so validations,
checkpoints and whatever else happens between two epochs are in. The other ways are in `benchmarks/by_hand.py`. The
bare loop runs once a core, side by side, with one thread each; the usual script and torchdistill do so too, and also
as they are run as a rule, one at a time with all cores.

Images are counted per second of the clock, and per second of processor time of all processes that a way needs (of a
study: the driver, Ray's own and the workers).

    python -m benchmarks.throughput [--case CASE] [--rounds N]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import TypeAdapter

from benchmarks.cases import CASES, Case, Precision, case_named, write_images
from benchmarks.page import PERFORMANCE, ROOT, publish, spread, stored, table

CORES = len(os.sched_getaffinity(0))
LEAST_OVERLAP = 0.5
"""Of the timed epochs of two trials, where they count as trained side by side."""

SECONDS_BETWEEN = 0.3
"""Of two looks at a study's processor time."""

Way = Literal["script", "torchdistill"]
WAYS: tuple[Way, ...] = ("script", "torchdistill")

ELSEWHERE = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "OPTUNA_STORAGE", "NOISY_STUDY_ROOT")


LOADERS = (0, CORES)
"""Processes that load images for a script which has all cores; whichever is faster counts."""


@dataclass(frozen=True)
class Speed:
    """Images per second of all cores together: by the clock, and by processor time."""

    clock: float
    processor: float


@dataclass
class Rounds:
    """What one case gave, one number a round; one at a time by the clock only, as loaders' processor time is unknown.

    Ways are `script` and `torchdistill`.
    """

    case: str
    one_at_a_time: dict[Way, list[float]]
    side_by_side: dict[Way, list[Speed]]
    bare: dict[Precision, list[Speed]]
    study: dict[Precision, list[Speed]]

    @classmethod
    def none_yet(cls, case: Case) -> Self:
        return cls(
            case.name,
            one_at_a_time={way: [] for way in WAYS},
            side_by_side={way: [] for way in WAYS},
            bare={precision: [] for precision in case.precisions},
            study={precision: [] for precision in case.precisions},
        )


def study_file(case: Case) -> str:
    """A study of `CORES` seeds; its teacher is small and its baseline short, since neither is timed."""
    arms = "\n".join(
        f"  - {{method: noisy_teacher, sigma: 0.5, alpha: 0.5, train: {{precision: {precision}}}}}"
        for precision in case.precisions
    )
    return f"""
name: benchmark
data: {{name: {case.dataset}, validation: {case.validation}}}
teachers: [{{network: FC10, train: {{epochs: 1}}}}]
student: {{network: {case.student}}}
train: {{epochs: {case.epochs}, patience: 0}}
baseline: {{method: logit_regression, train: {{epochs: 1}}}}
arms:
{arms}
seeds: {list(range(CORES))}
resources: {{workers: {CORES}}}
"""


def run_study(folder: Path, root: Path) -> NDArray[np.float64]:
    """Run `study.yaml` of a folder to its end, tracked in the folder's own MLflow.

    Returns:
        (samples, 2): milliseconds since 1970, and the processor seconds that all of its processes had taken by then.
    """
    command = [str(Path(sys.executable).with_name("noisy-study")), "run", "study.yaml", "--data-root", str(root)]
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    # Ray gives its workers a low priority, which the other ways do not have.
    environment["RAY_worker_niceness"] = "0"
    study = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    taken: dict[int, float] = {}
    samples = []
    while study.poll() is None:
        with suppress(psutil.Error):  # some process has ended
            for process in (driver := psutil.Process(study.pid), *driver.children(recursive=True)):
                times = process.cpu_times()
                taken[process.pid] = times.user + times.system
        samples.append((time.time() * 1000, sum(taken.values())))
        time.sleep(SECONDS_BETWEEN)
    if study.returncode:
        raise RuntimeError(f"the study ended with status {study.returncode}")
    return np.array(samples)


def in_a_study(case: Case, root: Path) -> dict[Precision, Speed]:
    """Speeds of the seeds of each arm together, from the tracked epochs' own clocks.

    Raises:
        RuntimeError: the seeds did not train side by side.
    """
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yaml").write_text(study_file(case), encoding="utf-8")
        samples = run_study(folder, root)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment = client.get_experiment_by_name("benchmark")
        assert experiment is not None
        found: dict[Precision, Speed] = {}
        for precision in case.precisions:
            wanted = f"tags.`noisy_study.role` = 'arm' and params.precision = '{precision}'"
            runs = client.search_runs([experiment.experiment_id], wanted)
            clocks = [[e.timestamp for e in client.get_metric_history(run.info.run_id, "val_error")] for run in runs]
            assert len(clocks) == CORES
            together = min(clock[-1] for clock in clocks) - max(clock[0] for clock in clocks)
            if together < LEAST_OVERLAP * max(clock[-1] - clock[0] for clock in clocks):
                raise RuntimeError(f"{case.name}: the seeds of an arm did not train side by side; nothing to compare")
            images = (case.epochs - 1) * case.epoch_images
            # From the first trial's first epoch to the last trial's last; what others trained meanwhile is not counted.
            ends = (min(clock[0] for clock in clocks), max(clock[-1] for clock in clocks))
            before, after = np.interp(ends, samples[:, 0], samples[:, 1])
            found[precision] = Speed(
                clock=sum(images * 1000 / (clock[-1] - clock[0]) for clock in clocks),
                processor=CORES * (CORES * images) / float(after - before),
            )
        return found


def side_by_side(case: Case, root: Path, way: str, precision: Precision = "fp32") -> Speed:
    """Speeds of one training a core, of one thread each, without a study."""
    arguments = [way, case.name, str(root), "--precision", precision, "--threads", "1"]
    speeds = by_hand(arguments, CORES)
    return Speed(sum(speed.clock for speed in speeds), sum(speed.processor for speed in speeds))


def one_at_a_time(case: Case, root: Path, way: Way) -> float:
    """Images per second of the clock of one training that has all cores, with the better of `LOADERS`."""
    arguments = [way, case.name, str(root)]
    return max(by_hand([*arguments, "--workers", str(loaders)], 1)[0].clock for loaders in LOADERS)


def by_hand(arguments: list[str], count: int) -> list[Speed]:
    """What `count` processes of `benchmarks.by_hand` say that run at the same time."""
    command = [sys.executable, "-m", "benchmarks.by_hand", *arguments]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"{' '.join(command)} failed")
    return [Speed(*map(float, text.splitlines()[-1].split())) for text in said]


def measure(case: Case, rounds: int) -> Iterator[Rounds]:
    """Every way in turn, as often as asked.

    Yields:
        all rounds so far, after each of them.
    """
    found = Rounds.none_yet(case)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(case, root)
        for _ in range(rounds):
            for way in WAYS:
                found.one_at_a_time[way].append(one_at_a_time(case, root, way))
                found.side_by_side[way].append(side_by_side(case, root, way))
            for precision in case.precisions:
                found.bare[precision].append(side_by_side(case, root, "bare", precision))
            for precision, speed in in_a_study(case, root).items():
                found.study[precision].append(speed)
            yield found


def as_markdown(results: list[Rounds]) -> str:
    """The ratios, then the speeds they come from."""
    ratios: list[list[str]] = []
    speeds: list[list[str]] = []
    for found in results:
        for precision, study in found.study.items():
            name = f"{found.case}, {precision}"
            clock, bare = [speed.clock for speed in study], found.bare[precision]
            others = [found.one_at_a_time[way] for way in WAYS]
            others += [[speed.clock for speed in found.side_by_side[way]] for way in WAYS]
            others += [[speed.clock for speed in bare]]
            processor = _ratio([speed.processor for speed in study], [speed.processor for speed in bare])
            ratios.append([name, str(len(study)), *(_ratio(clock, other) for other in others), processor])
            speeds.append([name, *(f"{statistics.median(each):,.0f}" for each in (*others, clock))])
    together = f"{CORES} side by side"
    ways = ("one script", "one torchdistill", f"scripts, {together}", f"torchdistill, {together}")
    bare_loops = f"bare loops, {together}"
    return "\n\n".join(
        [
            "A study divided by each of the others, by the clock, median (lowest to highest) of the rounds:",
            table(("student", "rounds", *ways, bare_loops, "the same by processor time"), ratios),
            f"Images per second of {CORES} cores, medians; one trial's are a "
            f"{'half' if CORES == 2 else f'{CORES}th'} of a study's:",
            table(("student", *ways, bare_loops, "a study"), speeds),
        ]
    )


def _ratio(study: list[float], other: list[float]) -> str:
    ratios = [a / b for a, b in zip(study, other, strict=True)]
    return spread(ratios, ".1f" if min(ratios) > 2 else ".2f")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=case_named, help="one of them alone; the others keep their numbers")
    parser.add_argument("--rounds", type=int, help="how many, for every case")
    given = parser.parse_args()
    old = TypeAdapter(list[Rounds]).validate_python(stored("throughput", []) if given.case else [])
    known = {found.case: found for found in old}
    for case in [given.case] if given.case else CASES:
        for found in measure(case, given.rounds or case.rounds):
            known[case.name] = found
            results = [known[each.name] for each in CASES if each.name in known]
            publish(PERFORMANCE, "throughput", as_markdown(results), [asdict(each) for each in results])


if __name__ == "__main__":
    main()
