"""What one more concurrent trial of `lenet-cifar10` costs in memory, on as many images as CIFAR-10 has.

A real study trains one trial per core side by side; every half second, the proportional set size of each trial's
process is read from the system (`smaps_rollup`: a page that n processes share counts 1/n in each). It is watched from
its start until every trial has written its first checkpoint: training, validation, the copy of the best weights and the
writing are in. Images and logits lie in the node's shared memory, once whatever the number of trials; they are told
apart.

Most of the images are held out for validation, so that an epoch takes a minute: an epoch on 45,000 takes three.

What importing PyTorch takes differs much from build to build, so the numbers are kept for each: `PYTHONPATH` can put
another one before that of the environment.

    python -m benchmarks.memory [--rounds 3]
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch
from pydantic import TypeAdapter

from benchmarks.cases import Case, write_images
from benchmarks.page import PERFORMANCE, publish, spread, stored, table
from benchmarks.throughput import CORES, ELSEWHERE, study_file

CASE = Case("nin-lenet-cifar10", "cifar10", "nin", "lenet-cifar10", 5_000, 45_000, 2, ("fp32",), 3)
SECONDS_BETWEEN = 0.5
PATIENCE = 420.0
MIB = 2**20


@dataclass(frozen=True)
class Peak:
    """The most that a trial's process took, in bytes; the two need not have been at the same moment."""

    own: int
    """Imports, weights, gradients, activations, whatever else is not in the node's shared memory; of libraries that
    other processes have in memory too, a share."""
    private: int
    """What is in no other process's memory, so what the machine needs more for one more trial."""
    shared: int
    """Its share of the images and logits."""

    def or_more(self, other: "Peak | None") -> "Peak":
        """The larger of both, each for itself."""
        if other is None:
            return self
        return Peak(max(self.own, other.own), max(self.private, other.private), max(self.shared, other.shared))


def peaks(root: Path) -> list[Peak]:
    """Of each trial's process, from a study that is interrupted once every trial has a checkpoint.

    Raises:
        RuntimeError: the study ended, or `PATIENCE` seconds went by, before that.
    """
    seen: dict[int, Peak] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The first trials to run are the baselines, one a core.
        text = study_file(CASE).replace("train: {epochs: 1}}\narms", f"train: {{epochs: {CASE.epochs}}}}}\narms")
        (folder / "study.yaml").write_text(text, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("noisy-study")), "run", "study.yaml", "--data-root", str(root)]
        environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
        study = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        try:
            began = time.monotonic()
            while len(list(folder.glob(".noisy-study/studies/*/trials/*/checkpoint.pt"))) < CORES:
                if study.poll() is not None or time.monotonic() - began > PATIENCE:
                    raise RuntimeError("the study wrote no checkpoints to wait for")
                # A process that has ended is forgotten: teachers train in one of their own, before the students.
                now = {each.pid: _taken(each) for each in psutil.Process(study.pid).children(recursive=True)}
                seen = {pid: taken.or_more(seen.get(pid)) for pid, taken in now.items() if taken is not None}
                time.sleep(SECONDS_BETWEEN)
        finally:
            study.send_signal(signal.SIGINT)
            study.wait()
    return list(seen.values())


def _taken(process: psutil.Process) -> Peak | None:
    """What a process that trains takes now; None for any other."""
    try:
        if "Trainable" not in " ".join(process.cmdline()):
            return None
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except (psutil.Error, OSError):  # it has ended
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    private = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return Peak(sizes["Pss"] - sizes["Pss_Shmem"], private, sizes["Pss_Shmem"])


def as_markdown(builds: dict[str, list[list[Peak]]]) -> str:
    """One row for each build of PyTorch."""
    rows = []
    for build, rounds in builds.items():
        trials = [peak for round_ in rounds for peak in round_]
        sizes = ([getattr(peak, name) / MIB for peak in trials] for name in ("own", "private", "shared"))
        rows.append([build, str(len(trials)), *(spread(each, ".0f") for each in sizes)])
    head = ("PyTorch", "trials", "proportional set size, MiB", "of it in no other process", "images and logits")
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=CASE.rounds)
    given = parser.parse_args()
    builds = TypeAdapter(dict[str, list[list[Peak]]]).validate_python(stored("memory", {}))
    with tempfile.TemporaryDirectory() as folder:
        write_images(CASE, Path(folder))
        builds[torch.__version__] = [peaks(Path(folder)) for _ in range(given.rounds)]
    numbers = {build: [[asdict(peak) for peak in round_] for round_ in rounds] for build, rounds in builds.items()}
    publish(PERFORMANCE, "memory", as_markdown(builds), numbers)


if __name__ == "__main__":
    main()
