"""Measures how long a prediction takes on this machine.

Works on functions of a batch of raw images. The functions are called in turn, so that a busy moment of the machine
slows all of them in the same way. They run on one thread, because the time of several threads depends on what else the
machine does.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

Answer = Callable[[npt.NDArray[np.uint8]], object]

WARM_UP = 3
REPETITIONS = 30


@dataclass(frozen=True)
class Latency:
    """The median milliseconds of one call, by the name of the function and the number of images."""

    milliseconds: Mapping[str, Mapping[int, float]]
    repetitions: int


def measure(
    answers: Mapping[str, Answer],
    images: npt.NDArray[np.uint8],
    batches: Sequence[int] = (1, 64),
    repetitions: int = REPETITIONS,
) -> Latency:
    """Call all functions in turn, `repetitions` times.

    Args:
        answers: the functions, by name.
        images: (N, C, H, W); a batch consists of the first ones, repeated if there are too few.
        batches: the batch sizes to measure.
        repetitions: how many calls of each function are measured, after `WARM_UP` calls that are not.
    """
    seconds: dict[str, dict[int, list[float]]] = {name: {size: [] for size in batches} for name in answers}
    for size in batches:
        batch = np.resize(images, (size, *images.shape[1:]))
        for repetition in range(WARM_UP + repetitions):
            for name, answer in answers.items():
                started = time.perf_counter()
                answer(batch)
                if repetition >= WARM_UP:
                    seconds[name][size].append(time.perf_counter() - started)
    return Latency(
        {name: {size: median(each) * 1000 for size, each in of_name.items()} for name, of_name in seconds.items()},
        repetitions,
    )


def machine() -> str:
    """The name of this machine's processor, and how many CPUs this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(named, "") or platform.processor() or platform.machine()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cpus} CPU{'' if cpus == 1 else 's'}"
