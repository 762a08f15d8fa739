"""What each measure that makes a training step fast is worth, and what `torch.compile` would be.

Training steps of 64 images on one thread, in processes of their own, each with one measure more than the one before it.
Images are counted per second of the thread's processor time, so that what else runs on the machine matters little.
Denormal numbers slow a training only after it has gone on for a while, so with all other measures the tenth epoch is
timed too, with denormal numbers as they come and as zero.

    python -m benchmarks.steps [--rounds 3]
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.cases import CASES, case_named, data_of, write_images
from benchmarks.page import PERFORMANCE, ROOT, publish, table
from models import zoo
from study.adapters.glibc import keep_freed_memory
from study.adapters.onednn import multiply_with_onednn
from study.config import TrainConfig
from study.data.tensors import ImageTensors
from study.distill.denormals import flushed_denormals
from study.distill.optimizers import Optimizer
from study.distill.processor import measured_processor
from study.methods.logit_regression import squared_distance

MEASURES = ("as written", "channels last", "freed memory kept", "max pooling before ReLU", "oneDNN's products")
COMPILED = "torch.compile"
"""With all measures but the last, which it cannot follow; it chooses its products itself."""
SECONDS = 2.0
BATCH = 64
BATCHES = 30
"""That steps take in turn."""

AS_THEY_COME, AS_ZERO = "tenth epoch, denormals as they come", "tenth epoch, denormals as zero"
TENTH = (AS_THEY_COME, AS_ZERO)
EPOCH_STEPS = 150
"""Of an epoch of this benchmark, 9,600 images. Adam's first moment of a weight without a gradient is denormal after
some 800 steps, whatever an epoch is."""


@dataclass(frozen=True)
class Speed:
    """Images per second of processor time with all measures up to one of them, and the seconds of the first step."""

    images: float
    first_step: float


def training_step(name: str, precision: str, measure: str) -> Callable[[], None]:
    """A step of a case's student on one thread with all measures up to one of them; for good in this process."""
    torch.set_num_threads(1)
    case = case_named(name)
    wanted = MEASURES.index(measure) if measure in MEASURES else len(MEASURES) - (2 if measure == COMPILED else 1)
    with tempfile.TemporaryDirectory() as folder:
        write_images(case, Path(folder))
        data = data_of(case, Path(folder))
    network: nn.Module = zoo.build(case.student, data.input_shape, data.class_count)
    drawn = ImageTensors.of(data, "train").batch(torch.arange(BATCH * BATCHES))
    target = torch.randn(BATCHES, BATCH, data.class_count)
    layout = torch.contiguous_format
    if wanted >= MEASURES.index("channels last"):
        network = network.to(memory_format=torch.channels_last)
        layout = torch.channels_last
    if wanted >= MEASURES.index("freed memory kept"):
        keep_freed_memory()
    if wanted < MEASURES.index("max pooling before ReLU"):
        network = relu_first(network)
    if wanted >= MEASURES.index("oneDNN's products") and precision == "fp32" and measured_processor().onednn_is_faster:
        multiply_with_onednn(network)
    images = [batch.contiguous(memory_format=layout) for batch in torch.split(drawn, BATCH)]
    batches = itertools.cycle(zip(images, target, strict=True))
    optimizer = Optimizer(network.parameters(), TrainConfig())
    forward = torch.compile(network) if measure == COMPILED else network

    def step() -> None:
        batch, z = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = forward(batch)
        optimizer.zero_grad()
        squared_distance(logits.float(), z).backward()  # type: ignore[no-untyped-call]
        optimizer.step(0.001)

    return step


def speed(name: str, precision: str, measure: str) -> Speed:
    """Of one student in this process."""
    with flushed_denormals() if measure == AS_ZERO else nullcontext():
        step = training_step(name, precision, measure)
        began = time.perf_counter()
        step()
        first = time.perf_counter() - began
        for _ in range(9 * EPOCH_STEPS if measure in TENTH else 3):
            step()
        steps, began = 0, time.thread_time()
        while steps < EPOCH_STEPS if measure in TENTH else time.thread_time() - began < SECONDS:
            step()
            steps += 1
        return Speed(BATCH * steps / (time.thread_time() - began), first)


def relu_first(network: nn.Module) -> nn.Module:
    """The same network with its ReLUs where its notation has them."""
    parts = list(network.children())
    for at in range(1, len(parts)):
        if isinstance(parts[at], nn.ReLU) and isinstance(parts[at - 1], nn.MaxPool2d):
            parts[at - 1], parts[at] = parts[at], parts[at - 1]
    return nn.Sequential(*parts)


def measured(*what: str) -> Speed:
    command = [sys.executable, "-m", "benchmarks.steps", "--one", *what]
    environment = {**os.environ, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}  # a compiler that remembers is not timed
    said = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    images, first = said.stdout.split()
    return Speed(float(images), float(first))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        found = speed(*given.one)
        print(found.images, found.first_step)
        return
    rows: list[list[str]] = []
    numbers: dict[str, object] = {}
    pairs = [(case, precision) for case in CASES for precision in case.precisions]
    for case, precision in pairs:
        # In turn, so that a slower hour of the machine is everybody's; what takes long once.
        rounds = [{each: measured(case.name, precision, each) for each in MEASURES} for _ in range(given.rounds)]
        compiled = measured(case.name, precision, COMPILED)
        tenth = {each: measured(case.name, precision, each) for each in TENTH}
        medians = [statistics.median(one[each].images for one in rounds) for each in MEASURES]
        name = f"{case.student}, {precision}"
        speeds = [*medians, *(tenth[each].images for each in TENTH), compiled.images]
        rows.append([name, *(f"{each:,.0f}" for each in speeds), f"{compiled.first_step:.0f}"])
        numbers[name] = {
            "rounds": [{each: asdict(one[each]) for each in MEASURES} for one in rounds],
            **{each: asdict(tenth[each]) for each in TENTH},
            COMPILED: asdict(compiled),
        }
        print(rows[-1], file=sys.stderr)
    head = (
        "student",
        *(f"+ {each}" if at else each for at, each in enumerate(MEASURES)),
        *TENTH,
        COMPILED,
        "its first step, s",
    )
    publish(PERFORMANCE, "steps", table(head, rows), numbers)


if __name__ == "__main__":
    main()
