"""What one GPU does with small students: one after another, in processes side by side, and side by side in one process.

Run it on a machine with a GPU. It is one command of a few minutes, and needs PyTorch and this package. The table needs
Ray and MLflow, too:

    python -m benchmarks.gpu [--seconds 300] [--no-table] [--out FILE]

Images are synthetic and speed does not depend on them. Measured are training steps, without validation, in images per
second of all students together:

- `script`: torchvision images, a DataLoader with 8 processes, the teacher in every step (`benchmarks/by_hand.py`);
- `plain`: one student, each kernel launched by itself;
- `captured`: one student, as a trial of a study trains it;
- `processes N`: N processes with one captured student each;
- `lanes N`: N students side by side in one process (`resources.students_per_gpu`).

It stops starting measurements after `--seconds`, and prints which are missing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.page import ROOT
from study.config import TrialConfig
from study.data.tensors import ImageTensors
from study.distill.side_by_side import streams
from study.distill.trainer import DistillationTrainer, TrainingData

CLASSES, IMAGES, BATCH = 10, 6_400, 64
SHAPES = {
    "fc800": (1, 28, 28),
    "student3": (3, 32, 32),
    "lenet-cifar10": (3, 32, 32),
    "nin": (3, 32, 32),
}
STUDENTS, TEACHER = ("fc800", "student3", "lenet-cifar10"), "nin"
PRECISIONS = ("fp32", "tf32", "bf16")
LANES, MOST_LANES, PROCESSES = (1, 8, 32), 128, 8
SECONDS = 0.5
"""Of each measurement, after its warm-up."""
GPU = torch.device("cuda")


@dataclass(frozen=True)
class Speed:
    """One measurement.

    Attributes:
        images_per_second: of all students together.
        gib: the GPU's memory that this process had at most; None if it is not known.
        busy: the share of the time in which the GPU ran a kernel; None if it is not known.
    """

    network: str
    precision: str
    way: str
    students: int
    images_per_second: float
    gib: float | None = None
    busy: float | None = None


def trial_of(network: str, precision: str, seed: int) -> TrialConfig:
    """A student with the noise of equation 2; the teacher learns from labels, with momentum."""
    train: dict[str, Any] = {"epochs": 1000, "batch_size": BATCH, "lr": 0.001, "precision": precision}
    method: dict[str, Any] = {"method": "noisy_teacher", "sigma": 0.5, "alpha": 0.5}
    if network == TEACHER:
        train |= {"optimizer": "sgd", "momentum": 0.9}
        method = {"method": "labels"}
    return TrialConfig.model_validate(
        {"stage": "grid", "role": "arm", "network": network, "seed": seed, "train": train, **method}
    )


class Steps:
    """Students that train side by side, step by step and without end.

    Args:
        network, precision: of every student.
        students: how many.
        captures: whether their steps are captured.
    """

    def __init__(self, network: str, precision: str, students: int, captures: bool = True) -> None:
        generator = torch.Generator().manual_seed(1)
        pixels = torch.randint(0, 256, (IMAGES, *SHAPES[network]), dtype=torch.uint8, generator=generator).to(GPU)
        labels = (torch.arange(IMAGES) % CLASSES).to(GPU)
        images = ImageTensors(pixels, labels, 255.0)
        data = TrainingData(images, images, SHAPES[network], CLASSES)
        target = None if network == TEACHER else torch.randn(IMAGES, CLASSES, generator=generator) * 3
        queues = streams(GPU)
        trials = [trial_of(network, precision, seed) for seed in range(students)]
        self.trainers = [
            DistillationTrainer(trial, data, target, GPU, captures=captures, stream=next(queues)) for trial in trials
        ]
        self._epochs = [trainer.steps() for trainer in self.trainers]

    def step(self) -> None:
        """Queue one step of every student."""
        for place, epoch in enumerate(self._epochs):
            if next(epoch, self) is self:
                self._epochs[place] = self.trainers[place].steps()
                next(self._epochs[place])


def speed_of(step: Callable[[], None], images: int, seconds: float = SECONDS) -> float:
    """Images per second of a step that queues the training of so many images."""
    for _ in range(6):
        step()
    torch.cuda.synchronize()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(5):
            step()
        steps += 5
        torch.cuda.synchronize()
    return steps * images / (time.perf_counter() - started)


@contextmanager
def busy_share() -> Iterator[list[float]]:
    """Samples of the share of time in which the GPU ran a kernel, as its driver counts it."""
    samples: list[float] = []
    done = threading.Event()

    def look() -> None:
        import pynvml  # type: ignore[import-not-found, unused-ignore]

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not done.wait(0.2):
            samples.append(pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100)

    def looking() -> None:
        with suppress(Exception):  # the measurement has no such number then
            look()

    thread = threading.Thread(target=looking)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def measured_alone(network: str, precision: str, captures: bool) -> Iterator[Speed]:
    yield measured(network, precision, "captured" if captures else "plain", 1, captures)


def measured_lanes(network: str, precision: str, count: int) -> Iterator[Speed]:
    yield measured(network, precision, f"lanes {count}", count)


def measured(network: str, precision: str, way: str, students: int, captures: bool = True) -> Speed:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    steps = Steps(network, precision, students, captures)
    with busy_share() as samples:
        speed = speed_of(steps.step, students * BATCH)
    gib = torch.cuda.max_memory_reserved() / 2**30
    return Speed(network, precision, way, students, round(speed), round(gib, 2), max(samples, default=None))


# ------------------------------------------------------------------------------------------------------- processes


def one_of_many(network: str) -> None:
    """One of several processes: prints its speed in each precision, when all of them have begun."""
    for precision in PRECISIONS:
        steps = Steps(network, precision, 1)
        for _ in range(6):
            steps.step()
        torch.cuda.synchronize()
        print("ready", flush=True)
        sys.stdin.readline()
        print(speed_of(steps.step, BATCH, 2 * SECONDS), flush=True)


def in_processes(network: str, count: int, way: str) -> Iterator[Speed]:
    """`count` processes with one student each, which train at the same time."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--one-of-many", network]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes: list[Any] = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(count)]
    try:
        for precision in PRECISIONS:
            for process in processes:
                assert process.stdout.readline().strip() == "ready"
            for process in processes:
                process.stdin.write("go\n")
                process.stdin.flush()
            total = sum(float(process.stdout.readline()) for process in processes)
            yield Speed(network, precision, way, count, round(total))
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def mps() -> Iterator[bool]:
    """NVIDIA's Multi-Process Service, if it starts here: kernels of several processes then run at the same time."""
    control = shutil.which("nvidia-cuda-mps-control")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        try:
            started = control is not None and subprocess.run([control, "-d"], timeout=20, check=False).returncode == 0
            yield started
        finally:
            if control is not None:
                subprocess.run([control], input="quit\n", text=True, timeout=20, check=False)
            for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"):
                os.environ.pop(name)


# ---------------------------------------------------------------------------------------------------------- script


def script(network: str) -> Iterator[Speed]:
    """The usual script on a GPU: PIL images, a DataLoader with 8 processes, the teacher in every step."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    from models import zoo

    shape, teacher_name = SHAPES[network], "lenet-mnist" if network == "fc800" else TEACHER
    data = datasets.FakeData(IMAGES, shape, CLASSES, transforms.ToTensor()) if shape[0] == 3 else None
    if data is None:
        grey = transforms.Compose([transforms.Grayscale(), transforms.ToTensor()])
        data = datasets.FakeData(IMAGES, (3, *shape[1:]), CLASSES, grey)
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=8, pin_memory=True, persistent_workers=True)
    teacher = zoo.build(teacher_name, shape, CLASSES).to(GPU).eval()
    student = zoo.build(network, shape, CLASSES).to(GPU)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    batches = 0
    started = 0.0
    for images, _ in loader:
        there = images.to(GPU, non_blocking=True)
        with torch.no_grad():
            z = teacher(there) * (1 + 0.5 * torch.randn(len(images), CLASSES, device=GPU))
        loss = (student(there) - z).square().sum(dim=1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        batches += 1
        if batches == 20:
            started = time.perf_counter()
    yield Speed(network, "fp32", "script", 1, round((batches - 20) * BATCH / (time.perf_counter() - started)))


# ------------------------------------------------------------------------------------------------- bit for bit, table


def same_bits(network: str, precision: str) -> dict[str, bool]:
    """Whether captured steps, and students side by side, give the weights of plain steps alone, after 40 steps."""

    def weights(steps: Steps, place: int) -> list[torch.Tensor]:
        for _ in range(40):
            steps.step()
        torch.cuda.synchronize()
        return [tensor.clone() for tensor in steps.trainers[place].network.state_dict().values()]

    plain = weights(Steps(network, precision, 1, captures=False), 0)
    found = {}
    for name, steps in (
        ("plain again", Steps(network, precision, 1, captures=False)),
        ("captured", Steps(network, precision, 1)),
        ("one of 8 lanes", Steps(network, precision, 8)),
    ):
        found[name] = all(torch.equal(one, other) for one, other in zip(plain, weights(steps, 0), strict=True))
    return found


TABLE = """
name: gpu-table-3
data: {name: image_folder, path: pictures, validation: 0.1}
teachers: [{network: student3, train: {epochs: 1}}]
student: {network: lenet-cifar10}
train: {epochs: 3, batch_size: 64, patience: 0}
baseline: {method: logit_regression}
arms:
  - {method: noisy_teacher, alpha: [0.1, 0.2, 0.3, 0.4, 0.5], sigma: [0.2, 0.4, 0.6, 0.8, 1.0]}
seeds: [0, 1]
"""


def table(lanes: int, folder: Path) -> float:
    """Seconds of a study of the shape of Table 3: 26 arms and 2 seeds, on 4,000 synthetic pictures for 3 epochs."""
    from PIL import Image

    pictures = folder / "pictures"
    if not pictures.exists():
        generator = torch.Generator().manual_seed(0)
        for split, count in (("train", 400), ("test", 50)):
            for kind in range(CLASSES):
                (pictures / split / f"kind{kind}").mkdir(parents=True)
                for number in range(count):
                    pixels = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8, generator=generator)
                    Image.fromarray(pixels.numpy()).save(pictures / split / f"kind{kind}" / f"{number}.png")
    file = folder / f"table-{lanes}.yaml"
    file.write_text(TABLE.replace("gpu-table-3", f"gpu-table-3-lanes-{lanes}"))
    share = "1" if lanes > 1 else "0.125"
    settings = [f"resources.gpus_per_trial={share}", f"resources.students_per_gpu={lanes}"]
    entry = "from study.terminal.entry import main; main()"
    command = [sys.executable, "-c", entry, "run", str(file), *(f"--set={each}" for each in settings)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=150)
    return time.perf_counter() - started


# ------------------------------------------------------------------------------------------------------------ command


def measure(seconds: float, with_table: bool, only: str | None, out: Path) -> None:
    """Measure everything that fits into the time, and store every number at once."""
    started = time.perf_counter()
    numbers: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "same_bits": {},
        "table_seconds": {},
        "speeds": [],
        "missing": [],
    }

    def run(name: str, work: Callable[[], Any]) -> Any:
        if time.perf_counter() - started > seconds:
            numbers["missing"].append(name)
            return None
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - the other measurements still count
            numbers["missing"].append(f"{name}: {type(error).__name__} {str(error)[:200]}")
            return None
        finally:
            out.write_text(json.dumps(numbers, indent=1) + "\n")
        return found

    def keep(name: str, work: Callable[[], Iterable[Speed]]) -> None:
        for speed in run(name, lambda: list(work())) or []:
            numbers["speeds"].append(asdict(speed))
            print(*asdict(speed).values(), flush=True)

    for network in (*STUDENTS, TEACHER) if only != "together" else ():
        for precision in PRECISIONS:
            name = f"{network} {precision}"
            numbers["same_bits"][name] = run(f"bits {name}", partial(same_bits, network, precision))
            print(name, numbers["same_bits"][name], flush=True)
            for captures in (False, True):
                way = "captured" if captures else "plain"
                keep(f"{way} {name}", partial(measured_alone, network, precision, captures))
    together = STUDENTS if only != "alone" else ()

    def keep_lanes(count: int) -> None:
        for network in together:
            for precision in PRECISIONS:
                name = f"lanes {count} {network} {precision}"
                keep(name, partial(measured_lanes, network, precision, count))

    for count in LANES if only == "together" else LANES[1:]:  # one student was measured as `captured` else
        keep_lanes(count)
    for network in together:
        keep(f"processes {PROCESSES} {network}", partial(in_processes, network, PROCESSES, f"processes {PROCESSES}"))
    for network in STUDENTS:
        keep(f"script {network}", partial(script, network))
    with mps() as has_mps:
        numbers["mps"] = has_mps
        for network in together if has_mps else ():
            keep(f"MPS {network}", partial(in_processes, network, PROCESSES, f"processes {PROCESSES}, MPS"))
    keep_lanes(MOST_LANES)  # last, because to build so many students takes long
    if with_table:
        with tempfile.TemporaryDirectory() as folder:
            for lanes in (32, 1):
                numbers["table_seconds"][lanes] = run(f"table {lanes}", partial(table, lanes, Path(folder)))
                print("table, lanes", lanes, numbers["table_seconds"][lanes], flush=True)
    out.write_text(json.dumps(numbers, indent=1) + "\n")
    print("missing:", *numbers["missing"], sep="\n  ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--no-table", action="store_true")
    parser.add_argument("--only", choices=("alone", "together"), help="one half of the speeds")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu.json")
    parser.add_argument("--one-of-many", metavar="NETWORK", choices=SHAPES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one_of_many:
        one_of_many(asked.one_of_many)
    elif not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: this machine has no GPU that PyTorch can use")
    else:
        measure(asked.seconds, not asked.no_table, asked.only, asked.out)


if __name__ == "__main__":
    main()
