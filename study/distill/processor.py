"""Measures how fast the processor of this machine multiplies, once for each study and kind of processor.

Works on two products of the size that a training has, and on a folder that all workers of a study share. Knows nothing
of trainings. Two measurements can differ, and results of MKL and oneDNN differ in the last bits. So the first worker on
a kind of processor writes its measurement to a file, and all other workers read the file.
"""

import hashlib
import platform
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import ValidationError

from study.adapters.onednn import can_multiply, product
from study.config import Model
from study.storage import write_once, write_whole

ONEDNN_IS_FASTER = 1.2
"""oneDNN multiplies the large fully connected layers if it has at least this many times MKL's speed. It has 2.1 times
on AMD's Zen 5, and 0.9 times on an Intel Xeon with AMX."""

BF16_IS_SLOWER = 0.95
"""If bf16 is slower than this many times the speed of fp32, a study that uses bf16 prints a line."""

_BATCH, _INPUTS, _OUTPUTS = 64, 784, 800
_LARGE = (128, 1024, 1024)
_ROUNDS = 7


class MeasuredProcessor(Model):
    """Speeds of one thread.

    Attributes:
        name: the name that the operating system gives the processor.
        onednn_speed: the speed of oneDNN's product in fp32, divided by the speed of PyTorch's own (usually MKL).
        bf16_speed: the speed of a product in bf16, divided by the speed of the fastest product in fp32.
    """

    name: str
    onednn_speed: float
    bf16_speed: float

    @property
    def onednn_is_faster(self) -> bool:
        return self.onednn_speed >= ONEDNN_IS_FASTER

    @property
    def slow_bf16(self) -> str | None:
        """One line for a study that trains in bf16, if bf16 is slower here. Otherwise None."""
        if self.bf16_speed >= BF16_IS_SLOWER:
            return None
        return (
            f"precision: bf16 is slower than fp32 on this processor ({self.name}): a product takes "
            f"{1 / self.bf16_speed:.1f} times as long; training in fp32 is faster here"
        )


@cache
def measured_processor() -> MeasuredProcessor:
    """Measure the processor of this machine, once in each process. It takes some tenths of a second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure()
    finally:
        torch.set_num_threads(threads)


def recorded_processor(folder: Path) -> tuple[MeasuredProcessor, bool]:
    """The measurement that a study has of this kind of processor. If there is none yet, it is measured and stored.

    Args:
        folder: the study's folder with a file for each kind of processor. If several processes write at the same time,
            all of them return the same measurement.

    Returns:
        the measurement, and whether this call made it.

    Raises:
        UserError: the folder cannot be written.
    """
    _, kind = _processor()
    file = folder / f"{kind}.json"
    is_new = False
    if not file.exists():
        found = measured_processor().model_dump_json(indent=2)
        is_new = write_once(file, lambda path: path.write_text(found, encoding="utf-8"))
    try:
        return MeasuredProcessor.model_validate_json(file.read_bytes()), is_new
    except ValidationError:  # damaged
        found = measured_processor().model_dump_json(indent=2)
        write_whole(file, lambda path: path.write_text(found, encoding="utf-8"))
        return measured_processor(), True


def _measure() -> MeasuredProcessor:
    name, _ = _processor()
    if not can_multiply():
        return MeasuredProcessor(name=name, onednn_speed=0.0, bf16_speed=1.0)
    inputs, weight = torch.ones(_BATCH, _INPUTS), torch.ones(_OUTPUTS, _INPUTS)
    left, right = torch.ones(*_LARGE[:2]), torch.ones(*_LARGE[1:])
    halves = left.bfloat16(), right.bfloat16()
    with torch.inference_mode():
        plain, onednn = _seconds([lambda: F.linear(inputs, weight), lambda: product(inputs, weight)])
        *single, half = _seconds(
            [lambda: F.linear(left, right), lambda: product(left, right), lambda: F.linear(*halves)]
        )
    return MeasuredProcessor(name=name, onednn_speed=plain / onednn, bf16_speed=min(single) / half)


def _seconds(products: Sequence[Callable[[], object]]) -> list[float]:
    """The shortest time of each function. They run in turn. Other programs can only make a time longer."""
    shortest = [float("inf")] * len(products)
    for round_ in range(_ROUNDS + 1):
        for index, run in enumerate(products):
            began = time.perf_counter()
            run()
            if round_:  # the first round prepares memory and kernels
                shortest[index] = min(shortest[index], time.perf_counter() - began)
    return shortest


@cache
def _processor() -> tuple[str, str]:
    """The processor's name, and a file name for its kind. Processors of one name can have different instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:  # not Linux
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    kind = [facts.get(key, "") for key in ("vendor_id", "cpu family", "model", "flags")]
    digest = hashlib.sha256("\n".join([name, *kind]).encode()).hexdigest()[:8]
    return name, f"{re.sub('[^A-Za-z0-9]+', '-', name).strip('-')[:60]}-{digest}"
