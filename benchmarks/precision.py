"""Whether students trained in bf16 err as those of the same seeds trained in fp32 do.

Runs the studies `docs/results/precision-*.yaml` to their end, reads their test errors back from MLflow, and sets what
the precision changes in a seed beside what the seed itself changes. Needs real images, so `make bench` leaves it out.

    python -m benchmarks.precision --data-root DIR [--study precision-mnist]

DIR holds `MNIST/raw` and `cifar10-jpeg.tar.gz` (CIFAR-10's pictures as train/CLASS/* and test/CLASS/*).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.page import PERFORMANCE, ROOT, publish, stored, table
from study.results.read import read_study
from study.results.rule import by_seed, judge
from study.tracking import schema

STUDIES = ("precision-mnist", "precision-cifar10-jpeg")


@dataclass(frozen=True)
class Pair:
    """Test errors, fractions of 1, by seed, of one method in both precisions."""

    study: str
    method: str
    fp32: dict[int, float]
    bf16: dict[int, float]

    def row(self) -> list[str]:
        """Errors in per cent, differences in points."""
        single, half = self.fp32.values(), self.bf16.values()
        seeds = sorted(self.fp32.keys() & self.bf16.keys())
        errors = by_seed(seeds, [self.fp32, self.bf16])
        (found,) = judge(errors[:, 0], errors[:, 1:])
        assert found.difference_interval is not None
        assert found.difference_points is not None
        apart = [abs(self.fp32[seed] - self.bf16[seed]) for seed in seeds]
        low, high = found.difference_interval
        return [
            f"{self.study}, {self.method}",
            *(f"{100 * statistics.mean(each):.2f} ± {100 * statistics.stdev(each):.2f}" for each in (single, half)),
            f"{-found.difference_points:+.2f} [{-high:+.2f}, {-low:+.2f}]",
            f"{100 * statistics.mean(apart):.2f}",
        ]


HEAD = (
    "study",
    "fp32, test error % ± spread over seeds",
    "bf16",
    "bf16 − fp32, points [95 % interval]",
    "mean distance of a seed's two students, points",
)


def pairs(name: str, data_root: Path) -> list[Pair]:
    """Run a study and read it back."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("noisy-study")),
            "run",
            str(ROOT / "docs/results" / f"{name}.yaml"),
        ]
        environment = {
            key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
        }
        subprocess.run([*command, "--data-root", str(data_root)], cwd=folder, env=environment, check=True)
        trials = read_study(f"sqlite:///{folder}/mlflow.db", name).completed()
    errors: dict[tuple[str, str], dict[int, float]] = {}
    columns = ("params.method", "params.precision", f"params.{schema.SEED}", f"metrics.{schema.TEST_ERROR}")
    for method, precision, seed, error in trials[list(columns)].itertuples(index=False):
        errors.setdefault((method, precision), {})[int(seed)] = float(error)
    methods = dict.fromkeys(method for method, _ in errors)
    return [Pair(name, method, errors[method, "fp32"], errors[method, "bf16"]) for method in methods]


def _pair(numbers: dict[str, Any]) -> Pair:
    """From JSON, whose keys are text."""
    fp32, bf16 = ({int(seed): error for seed, error in numbers[each].items()} for each in ("fp32", "bf16"))
    return Pair(numbers["study"], numbers["method"], fp32, bf16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--study", choices=STUDIES, help="one of them alone; the other keeps its numbers")
    given = parser.parse_args()
    known = {name: [_pair(each) for each in numbers] for name, numbers in stored("precision", {}).items()}
    for name in [given.study] if given.study else STUDIES:
        known[name] = pairs(name, given.data_root.resolve())
    found = {name: known[name] for name in STUDIES if name in known}
    block = table(HEAD, [pair.row() for name in found for pair in found[name]])
    publish(PERFORMANCE, "precision", block, {name: [asdict(pair) for pair in found[name]] for name in found})


if __name__ == "__main__":
    main()
