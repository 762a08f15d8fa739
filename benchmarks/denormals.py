"""What denormal numbers cost a training, and what counting them as zero changes in its result.

Trains students of real pictures in three ways on the same seeds, each training in a process of its own with one thread:
with denormal numbers as zero, which is how a study trains; with denormal numbers as they come; and with them as zero on
the instructions of an older processor (AVX2), which rounds differently. The third stands in for a second processor: on
two processors one seed gives two students, which differ by rounding alone. Speed is images per second of processor time
in the first epoch and in the tenth, validation included. Needs real images, so `make bench` leaves it out.

    python -m benchmarks.denormals --data-root DIR [--study digits]

DIR holds `MNIST/raw` and `cifar10-jpeg.tar.gz` (CIFAR-10's pictures as train/CLASS/* and test/CLASS/*).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.page import PERFORMANCE, ROOT, publish, stored, table
from study.adapters.glibc import keep_freed_memory
from study.config import DataConfig, TrialConfig
from study.data.load import load_dataset
from study.distill.logit_store import LogitStore
from study.distill.teachers import logits_of
from study.distill.trainer import DistillationTrainer, TrainingData
from study.export.latency import machine
from study.running.job import DeviceImages

TENTH = 9
TRAIN_PICTURES, TEST_PICTURES = 500, 200
"""Of every class of CIFAR-10, the first ones."""

AS_ZERO, AS_THEY_COME, OTHER_INSTRUCTIONS = "as zero", "as they come", "as zero, AVX2"
WAYS = (AS_ZERO, AS_THEY_COME, OTHER_INSTRUCTIONS)
_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


@dataclass(frozen=True)
class Study:
    """One student, its teacher and their images."""

    name: str
    data: dict[str, object]
    teacher: str
    teacher_epochs: int
    student: str
    epochs: int
    lr: float
    seeds: tuple[int, ...]


STUDIES = (
    Study("digits", {"name": "digits"}, "digits-cnn", 10, "digits-fc32", 40, 0.01, (0, 1, 2, 3, 4)),
    Study("mnist", {"name": "mnist", "fraction": 0.2}, "lenet-mnist", 2, "fc800", 10, 0.001, (0, 1, 2, 3, 4)),
    Study("cifar10-jpeg", {"name": "image_folder"}, "student2", 5, "student3", 10, 0.001, (0, 1, 2)),
)


@dataclass(frozen=True)
class Trained:
    """One training: test error, a fraction of 1, and images per second of processor time in two epochs."""

    study: str
    way: str
    seed: int
    test_error: float
    first_epoch: float
    tenth_epoch: float


def study_named(name: str) -> Study:
    return next(study for study in STUDIES if study.name == name)


def images_of(study: Study, root: Path) -> DeviceImages:
    """As a study reads them; `root` holds MNIST, or the pictures that `some_pictures` wrote."""
    given = dict(study.data)
    if given["name"] == "image_folder":
        given["path"] = str(root / "pictures.tar")
    return DeviceImages(load_dataset(DataConfig.model_validate(given), root))


def some_pictures(archive: Path, file: Path) -> None:
    """Write the first pictures of every class to an archive of their own."""
    kept = {"train": TRAIN_PICTURES, "test": TEST_PICTURES}
    with tarfile.open(archive) as source, tarfile.open(file, "w") as smaller:
        for member in source:
            parts = Path(member.name).parts[-3:]
            if member.isfile() and len(parts) == 3 and int(Path(parts[2]).stem) < kept.get(parts[0], 0):
                member.name = "/".join(parts)
                smaller.addfile(member, source.extractfile(member))


def trial(network: str, seed: int, method: str, epochs: int, lr: float) -> TrialConfig:
    noise = {"sigma": 0.5, "alpha": 0.5} if method == "noisy_teacher" else {}
    train = {"epochs": epochs, "lr": lr, "patience": 0}
    given = {"stage": "grid", "role": "arm", "network": network, "method": method, "seed": seed, "train": train}
    return TrialConfig.model_validate({**given, **noise})


def write_target(study: Study, root: Path, folder: Path) -> None:
    """Train the teacher, and store what it says of every image."""
    images = images_of(study, root)
    teacher = DistillationTrainer(trial(study.teacher, 0, "labels", study.teacher_epochs, 0.001), _data(images), None)
    while not teacher.finished:
        teacher.run_epoch()
    LogitStore(folder).write(study.name, logits_of(teacher.network, images.train))


def student(study: Study, seed: int, root: Path, folder: Path) -> tuple[float, float, float]:
    """Train one student in this process: its test error, and its speeds in the first and the tenth epoch."""
    torch.set_num_threads(1)
    keep_freed_memory()
    images = images_of(study, root)
    target = LogitStore(folder).read(study.name, len(images.train))
    wanted = trial(study.student, seed, "noisy_teacher", study.epochs, study.lr)
    trainer = DistillationTrainer(wanted, _data(images), target)
    speeds = []
    while not trainer.finished:
        began = time.process_time()
        trainer.run_epoch()
        speeds.append(len(images.train) / (time.process_time() - began))
    trainer.load_best()
    return trainer.error_on(images.test), speeds[0], speeds[TENTH]


def _data(images: DeviceImages) -> TrainingData:
    dataset = images.dataset
    return TrainingData(images.train, images.validation, dataset.input_shape, dataset.class_count)


def measured(study: Study, data_root: Path) -> Iterable[Trained]:
    """Every way in turn for every seed, so that a slower hour of the machine is everybody's."""
    with tempfile.TemporaryDirectory() as name:
        folder = root = Path(name)
        if study.data["name"] == "image_folder":
            some_pictures(data_root / "cifar10-jpeg.tar.gz", root / "pictures.tar")
        else:
            root = data_root
        write_target(study, root, folder)
        for seed in study.seeds:
            for way in WAYS:
                command = [sys.executable, "-m", "benchmarks.denormals", "--one", study.name, way, str(seed)]
                environment = {**os.environ, **(_AVX2 if way == OTHER_INSTRUCTIONS else {})}
                said = subprocess.run(
                    [*command, "--data-root", str(root), "--target", str(folder)],
                    cwd=ROOT,
                    env=environment,
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                yield Trained(study.name, way, seed, *json.loads(said.stdout))


# ------------------------------------------------------------------------------------------------------- what is said

HEAD = (
    "student",
    "first epoch, as they come",
    "as zero",
    "tenth epoch, as they come",
    "as zero",
    "times",
    "test error, %",
    "as zero − as they come, points: mean distance (largest)",
    "AVX-512 − AVX2, both as zero",
)


def row(study: Study, trained: list[Trained]) -> list[str]:
    """Speeds are medians over the seeds, distances those of a seed's two students."""
    by_way = {way: {each.seed: each for each in trained if each.way == way} for way in WAYS}
    zero, come = by_way[AS_ZERO].values(), by_way[AS_THEY_COME].values()
    first = [statistics.median(each.first_epoch for each in way) for way in (come, zero)]
    tenth = [statistics.median(each.tenth_epoch for each in way) for way in (come, zero)]
    times = [by_way[AS_ZERO][each.seed].tenth_epoch / each.tenth_epoch for each in come]
    return [
        f"{study.student} on {study.name}, {len(by_way[AS_ZERO])} seeds",
        *(f"{speed:,.0f}" for speed in (*first, *tenth)),
        f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
        f"{100 * statistics.mean(each.test_error for each in zero):.2f}",
        distance(by_way[AS_ZERO], by_way[AS_THEY_COME]),
        distance(by_way[AS_ZERO], by_way[OTHER_INSTRUCTIONS]),
    ]


def distance(one: dict[int, Trained], other: dict[int, Trained]) -> str:
    """How far the two students of a seed are apart, in points of test error: `mean (largest)`."""
    apart = [100 * abs(one[seed].test_error - other[seed].test_error) for seed in one]
    return f"{statistics.mean(apart):.3f} ({max(apart):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--study", choices=[study.name for study in STUDIES], help="alone; others keep their numbers")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, way, seed = given.one
        if way == AS_THEY_COME:
            torch.set_flush_denormal = lambda mode: False  # type: ignore[assignment]
        print(json.dumps(student(study_named(name), int(seed), given.data_root, given.target)))
        return
    torch.set_num_threads(1)  # beside other work, two that wait for each other take minutes
    known = stored("denormals", {"trainings": {}})["trainings"]
    for study in [study_named(given.study)] if given.study else STUDIES:
        known[study.name] = [asdict(each) for each in measured(study, given.data_root.resolve())]
        done = [study for study in STUDIES if study.name in known]
        rows = [row(study, [Trained(**each) for each in known[study.name]]) for study in done]
        publish(PERFORMANCE, "denormals", table(HEAD, rows), {"processor": machine(), "trainings": known})


if __name__ == "__main__":
    main()
