"""How much of a bare loop's speed a student keeps inside a study.

Both sides train the same student on the same images with the same noise, validate after every epoch, and have one
thread. One side is a loop written by hand below, in a process of its own; the other is a real study (Ray, Optuna,
MLflow, checkpoints). Images per second are counted from the end of the first epoch to the end of the last, so
everything that happens between two epochs is in. The images are random: speed does not depend on what they show.

    python -m benchmarks.throughput [--rounds 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.page import PERFORMANCE, publish, table
from models import zoo
from study.config import DataConfig
from study.data.load import load_dataset

EPOCHS = 4


@dataclass(frozen=True)
class Case:
    """One student on one kind of images."""

    name: str
    dataset: str
    student: str
    train: int
    validation: int


CASES = (
    Case("MNIST, fc800", "mnist", "fc800", train=20_000, validation=4_000),
    Case("CIFAR-10, student3", "cifar10", "student3", train=5_000, validation=1_000),
)


@dataclass(frozen=True)
class Result:
    """Images per second on both sides, one number a round, and the ratio study / bare loop."""

    case: str
    bare: list[float]
    study: list[float]

    @property
    def ratios(self) -> list[float]:
        return [study / bare for study, bare in zip(self.study, self.bare, strict=True)]


def write_images(case: Case, root: Path, seed: int = 0) -> None:
    """Random images in the data set's own file format."""
    rng = np.random.default_rng(seed)
    count = case.train + case.validation
    if case.dataset == "mnist":
        raw = root / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for part, images in (("train", count), ("t10k", 1000)):
            pixels = rng.integers(0, 256, (images, 28, 28), dtype=np.uint8)
            header = np.array([0x803, images, 28, 28], dtype=">i4").tobytes()
            (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
            header = np.array([0x801, images], dtype=">i4").tobytes()
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + _labels(images).tobytes())
        return
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join(f"class{index}" for index in range(10)) + "\n")
    parts = {f"data_batch_{number}.bin": count // 5 for number in range(1, 6)} | {"test_batch.bin": 1000}
    for name, images in parts.items():
        pixels = rng.integers(0, 256, (images, 3072), dtype=np.uint8)
        (folder / name).write_bytes(np.hstack([_labels(images)[:, None], pixels]).tobytes())


def _labels(images: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.arange(images, dtype=np.uint8) % 10


def study_file(case: Case) -> str:
    return f"""
name: benchmark
data: {{name: {case.dataset}, validation: {case.validation}}}
teachers: [{{network: FC10, train: {{epochs: 1}}}}]
student: {{network: {case.student}}}
train: {{epochs: {EPOCHS}, patience: 0}}
arms: [{{method: noisy_teacher, sigma: 0.5, alpha: 0.5}}]
seeds: [0]
resources: {{workers: 1}}
"""


def bare_loop(case: Case, root: Path) -> float:
    """The loop a researcher would write: tensors in memory, stored logits, fused Adam, noise, validation."""
    torch.set_num_threads(1)
    data = load_dataset(DataConfig.model_validate({"name": case.dataset, "validation": case.validation}), root)
    images, held_out = torch.from_numpy(data.train.images), torch.from_numpy(data.validation.images)
    labels = torch.from_numpy(data.validation.labels)
    mean = torch.zeros(data.input_shape) if data.pixel_mean is None else torch.from_numpy(data.pixel_mean)
    targets = torch.randn(data.train_size, 10)
    network: nn.Module = zoo.build(case.student, data.input_shape, 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    began = 0.0
    for epoch in range(EPOCHS):
        network.train()
        for batch in torch.split(torch.randperm(data.train_size), 64):
            x = images[batch % len(images)].float().div_(255).sub_(mean)
            if data.mirror:
                flipped = batch >= len(images)
                x[flipped] = x[flipped].flip(3)
            z = targets[batch]
            chosen = torch.rand(len(batch), 1) < 0.5
            z = torch.where(chosen, (1 + 0.5 * torch.randn_like(z)) * z, z)
            loss = (network(x) - z).square().sum(dim=1).mean() / 2
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            wrong = 0
            for x, y in zip(torch.split(held_out, 1000), torch.split(labels, 1000), strict=True):
                wrong += int((network(x.float().div_(255).sub_(mean)).argmax(dim=1) != y).sum())
        if epoch == 0:
            began = time.perf_counter()
    return (EPOCHS - 1) * data.train_size / (time.perf_counter() - began)


def measured_bare(case: Case, root: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.throughput", "--bare", case.name, "--data", str(root)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measured_study(case: Case, root: Path) -> float:
    """Images per second of the noisy arm in a real study, from the tracked epochs' own clocks."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text(study_file(case))
        command = [str(Path(sys.executable).with_name("noisy-study")), "run", "study.yaml", "--data-root", str(root)]
        # Ray gives its workers a low priority, which a bare loop does not have.
        elsewhere = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
        environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
        environment["RAY_worker_niceness"] = "0"
        subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment = client.get_experiment_by_name("benchmark")
        assert experiment is not None
        (arm,) = client.search_runs([experiment.experiment_id], "tags.`noisy_study.role` = 'arm'")
        epochs = client.get_metric_history(arm.info.run_id, "val_error")
        images = len(range(case.train)) * (2 if case.dataset == "cifar10" else 1)
        return (EPOCHS - 1) * images * 1000 / (epochs[-1].timestamp - epochs[0].timestamp)


def measure(case: Case, rounds: int) -> Result:
    """Both sides in turn, as often as asked."""
    bare, study = [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(case, root)
        for _ in range(rounds):
            bare.append(measured_bare(case, root))
            study.append(measured_study(case, root))
            print(f"{case.name}: bare {bare[-1]:.0f}, study {study[-1]:.0f} images/s", file=sys.stderr)
    return Result(case.name, bare, study)


def as_markdown(results: list[Result]) -> str:
    head = ("student", "bare loop, images/s", "inside a study, images/s", "ratio, median", "lowest to highest")
    rows = []
    for result in results:
        speeds = [f"{statistics.median(side):,.0f}" for side in (result.bare, result.study)]
        ratios = result.ratios
        rows.append(
            [result.case, *speeds, f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"]
        )
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(bare_loop(next(case for case in CASES if case.name == arguments.bare), arguments.data))
        return
    results = [measure(case, arguments.rounds) for case in CASES]
    publish(PERFORMANCE, "throughput", as_markdown(results), [asdict(result) for result in results])


if __name__ == "__main__":
    main()
