"""The share of a trial's wall time that goes into writing checkpoints.

As many trials as there are cores run side by side, one thread each, in processes that do what Ray's do (`TrialRun`);
the time inside `write_checkpoint` is added up and divided by the time from the trial's first step to its last. Epochs
of MNIST and of `student3` are as long as in the recipes; those of `lenet-cifar10` are a ninth, which is harder: how
often a checkpoint is written is bounded by what it costs, but a trial's first is always written.

    python -m benchmarks.checkpoints [--case CASE] [--rounds 3]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.cases import CASES, Case, case_named, data_of, write_images
from benchmarks.page import PERFORMANCE, ROOT, publish, spread, stored, table
from benchmarks.throughput import CORES
from study.adapters.glibc import keep_freed_memory
from study.config import TrainConfig, TrialConfig
from study.running.checkpoint import write_checkpoint
from study.running.job import DeviceImages, TrialJob
from study.running.trial import TrialRun

SIZES = {"mnist-fc800": (50_000, 10_000), "nin-student3": (45_000, 5_000), "nin-lenet-cifar10": (5_000, 500)}
"""Training and validation images."""
EPOCHS = 10


def sized(case: Case) -> Case:
    train, validation = SIZES[case.name]
    return replace(case, train=train, validation=validation)


def share(case: Case, root: Path, folder: Path) -> float:
    """Of one trial in the faster of the case's precisions, a fraction of 1."""
    torch.set_num_threads(1)
    keep_freed_memory()
    written = 0.0

    def timed(file: Path, state: dict[str, Any]) -> None:
        nonlocal written
        began = time.perf_counter()
        write_checkpoint(file, state)
        written += time.perf_counter() - began

    data = data_of(case, root)
    target = np.random.default_rng(0).normal(size=(data.train_size, data.class_count)).astype(np.float32)
    train = TrainConfig(epochs=EPOCHS, patience=0, precision=case.precisions[-1])
    config = TrialConfig(
        stage="grid",
        role="arm",
        network=case.student,
        method="noisy_teacher",
        sigma=0.5,
        alpha=0.5,
        train=train,
        seed=0,
    )
    run = TrialRun(TrialJob(0, config, folder, "target", folder), {"target": target}, DeviceImages(data))
    with mock.patch("study.running.trial.write_checkpoint", timed):
        began = time.perf_counter()
        while run.step().summary is None:
            pass
        return written / (time.perf_counter() - began)


def shares(case: Case, root: Path) -> list[float]:
    """Of as many trials as there are cores, side by side."""
    with tempfile.TemporaryDirectory(dir=ROOT) as name:  # on a disk, as a study's folder is
        command = [
            sys.executable,
            "-m",
            "benchmarks.checkpoints",
            "--trial",
            case.name,
            "--data",
            str(root),
            "--folder",
        ]
        folders = [Path(name) / str(number) for number in range(CORES)]
        running = [
            subprocess.Popen([*command, str(each)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for each in folders
        ]
        said = [process.communicate()[0] for process in running]
    return [float(text) for text in said]


def as_markdown(found: dict[str, list[float]]) -> str:
    rows = [
        [f"{case.name}, {case.precisions[-1]}", str(len(found[case.name])), spread([100 * x for x in found[case.name]])]
        for case in CASES
        if case.name in found
    ]
    head = (f"trials of {EPOCHS} epochs", "trials", "% of wall time in checkpoints, median (lowest to highest)")
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", type=case_named, help="one of them alone; the others keep their numbers")
    parser.add_argument("--trial", type=case_named, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.trial:
        print(share(sized(given.trial), given.data, given.folder))
        return
    found: dict[str, list[float]] = stored("checkpoints", {}) if given.case else {}
    for case in map(sized, [given.case] if given.case else CASES):
        with tempfile.TemporaryDirectory() as root:
            write_images(case, Path(root))
            found[case.name] = [each for _ in range(given.rounds) for each in shares(case, Path(root))]
        publish(PERFORMANCE, "checkpoints", as_markdown(found), found)


if __name__ == "__main__":
    main()
