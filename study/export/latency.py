"""How long an answer takes on this machine.

Works on functions of a batch of raw images. What is to be compared is measured in turns, so that a machine that is
busy for a while slows all of it alike, and on one thread, for threads that wait for one another measure the machine.
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
    """Median milliseconds of one call for each number of images, by what was called."""

    milliseconds: Mapping[str, Mapping[int, float]]
    repetitions: int


def measure(
    answers: Mapping[str, Answer],
    images: npt.NDArray[np.uint8],
    batches: Sequence[int] = (1, 64),
    repetitions: int = REPETITIONS,
) -> Latency:
    """Call each in turn, again and again.

    Args:
        answers: what to call, by name.
        images: (N, C, H, W), of which a batch takes the first; repeated where they are too few.
        batches: numbers of images.
        repetitions: calls of each that count, after `WARM_UP` that do not.
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
    """The processor this runs on, as its system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(named, "") or platform.processor() or platform.machine()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cpus} CPU{'' if cpus == 1 else 's'}"
