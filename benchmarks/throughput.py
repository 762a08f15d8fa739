"""Images per second of a student's training inside a study, against the ways to train it without one.

Every round runs each way in turn, on all CPU cores of this machine, and divides what they did. The study is a real one
(Ray, Optuna, MLflow, checkpoints) with as many workers of one thread as there are cores, which train the seeds of an
arm side by side; its images per second are those of the seeds together, from the end of a trial's first epoch to the
end of its last, so validations, checkpoints and whatever else happens between two epochs are in. The bare loop runs as
often side by side, with one thread each. The script and torchdistill run once with all cores for one training and once
as the bare loop does, and the faster counts. What they are: `benchmarks/by_hand.py`.

    python -m benchmarks.throughput [--case CASE] [--rounds N]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.cases import CASES, Case, Precision, case_named, write_images
from benchmarks.page import PERFORMANCE, ROOT, publish, spread, stored, table

CORES = len(os.sched_getaffinity(0))
LEAST_OVERLAP = 0.7
"""Of the timed epochs of two trials, where they count as trained side by side."""

ELSEWHERE = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "OPTUNA_STORAGE", "NOISY_STUDY_ROOT")


@dataclass
class Rounds:
    """Images per second of one case, one number a round."""

    case: str
    script: list[float] = field(default_factory=list)
    torchdistill: list[float] = field(default_factory=list)
    bare: dict[Precision, list[float]] = field(default_factory=dict)
    study: dict[Precision, list[float]] = field(default_factory=dict)


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


def run_study(folder: Path, root: Path) -> None:
    """Run `study.yaml` of a folder to its end, tracked in the folder's own MLflow."""
    command = [str(Path(sys.executable).with_name("noisy-study")), "run", "study.yaml", "--data-root", str(root)]
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    # Ray gives its workers a low priority, which the other ways do not have.
    environment["RAY_worker_niceness"] = "0"
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)


def in_a_study(case: Case, root: Path) -> dict[Precision, float]:
    """Images per second of the seeds of each arm together, from the tracked epochs' own clocks.

    Raises:
        RuntimeError: the seeds did not train side by side.
    """
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yaml").write_text(study_file(case), encoding="utf-8")
        run_study(folder, root)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment = client.get_experiment_by_name("benchmark")
        assert experiment is not None
        found: dict[Precision, float] = {}
        for precision in case.precisions:
            wanted = f"tags.`noisy_study.role` = 'arm' and params.precision = '{precision}'"
            runs = client.search_runs([experiment.experiment_id], wanted)
            clocks = [[e.timestamp for e in client.get_metric_history(run.info.run_id, "val_error")] for run in runs]
            assert len(clocks) == CORES
            together = min(clock[-1] for clock in clocks) - max(clock[0] for clock in clocks)
            if together < LEAST_OVERLAP * max(clock[-1] - clock[0] for clock in clocks):
                raise RuntimeError(f"{case.name}: the seeds of an arm did not train side by side; nothing to compare")
            found[precision] = sum(
                (len(clock) - 1) * case.epoch_images * 1000 / (clock[-1] - clock[0]) for clock in clocks
            )
        return found


def by_hand(case: Case, root: Path, way: str, *options: str, times: int = 1) -> float:
    """Images per second of `times` processes that train side by side without a study."""
    command = [sys.executable, "-m", "benchmarks.by_hand", way, case.name, str(root), *options]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(times)]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"{' '.join(command)} failed")
    return sum(float(text.splitlines()[-1]) for text in said)


def measure(case: Case, rounds: int) -> Iterator[Rounds]:
    """Every way in turn, as often as asked.

    Yields:
        all rounds so far, after each of them.
    """
    found = Rounds(case.name, bare={each: [] for each in case.precisions}, study={each: [] for each in case.precisions})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(case, root)
        for _ in range(rounds):
            for way, speeds in (("script", found.script), ("torchdistill", found.torchdistill)):
                # One training with all cores, or one a core: whatever is faster. Loader processes would take a core.
                together = by_hand(case, root, way, "--threads", str(CORES))
                alone = by_hand(case, root, way, "--threads", "1", times=CORES)
                speeds.append(max(together, alone))
            for precision in case.precisions:
                bare = by_hand(case, root, "bare", "--threads", "1", "--precision", precision, times=CORES)
                found.bare[precision].append(bare)
            for precision, speed in in_a_study(case, root).items():
                found.study[precision].append(speed)
            yield found


def as_markdown(results: list[Rounds]) -> str:
    """The speeds, then the ratios."""
    speeds, ratios = [], []
    for found in results:
        for precision, study in found.study.items():
            name, bare = f"{found.case}, {precision}", found.bare[precision]
            sides = (found.script, found.torchdistill, bare, study, [speed / CORES for speed in study])
            speeds.append([name, *(f"{statistics.median(side):,.0f}" for side in sides)])
            ratios.append([name, *(_ratio(study, side) for side in (found.script, found.torchdistill, bare))])
    ways = ("usual script, fp32", "torchdistill, fp32", "bare loops")
    return "\n\n".join(
        [
            "Images per second, medians:",
            table(("student", *ways, "in a study", "each of its trials"), speeds),
            "Study divided by each of the others, median (lowest to highest) of the rounds:",
            table(("student", *ways), ratios),
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
    known = {old["case"]: Rounds(**old) for old in stored("throughput", [])} if given.case else {}
    for case in [given.case] if given.case else CASES:
        for found in measure(case, given.rounds or case.rounds):
            known[case.name] = found
            results = [known[each.name] for each in CASES if each.name in known]
            publish(PERFORMANCE, "throughput", as_markdown(results), [asdict(each) for each in results])


if __name__ == "__main__":
    main()
