"""Where the time of a training step goes, by kind of operator, and how near its products come to the machine's best.

Steps of 64 images on one thread, with everything that makes them fast (`benchmarks/steps.py`), each network in a
process of its own. Every operator is timed while it runs, so what Python and autograd do between them is told apart.
The yardstick of the convolutions and of the fully connected layers is the fastest product of two large matrices.

    python -m benchmarks.profile [--rounds 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.cases import CASES
from benchmarks.page import PERFORMANCE, ROOT, publish, table
from benchmarks.steps import MEASURES, training_step
from study.distill.processor import measured_processor

KINDS = {
    "convolution": "convolutions",
    "convolution_backward": "convolutions",
    "mm": "fully connected",
    "addmm": "fully connected",
    "_linear_pointwise": "fully connected",
    "_fused_adam_": "Adam",
    "max_pool2d_with_indices": "pooling",
    "max_pool2d_with_indices_backward": "pooling",
}
OTHER, BETWEEN = "other operators", "between operators"
PRODUCTS = ("convolutions", "fully connected")
SHOWN = (*dict.fromkeys(KINDS.values()), OTHER, BETWEEN)
STEPS, WARM_UP = 30, 10
LARGE = 2048
"""Rows and columns of the yardstick's matrices."""


@dataclass(frozen=True)
class Profile:
    """One round of one student.

    Attributes:
        seconds: of a step, by kind.
        gflops: thousand million floating-point operations a second in convolutions and fully connected layers.
        best_gflops: in the product of two large matrices of the same precision.
    """

    seconds: dict[str, float]
    gflops: float
    best_gflops: float


class OperatorTimer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, adds up the seconds of every kind of operator, and the floating-point operations of products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: dict[str, float] = dict.fromkeys(SHOWN, 0.0)
        self.operations = 0

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        began = time.perf_counter()
        output = operator(*arguments, **(options or {}))
        kind = KINDS.get(operator.overloadpacket.__name__, OTHER)
        self.seconds[kind] += time.perf_counter() - began
        if operator.overloadpacket in flop_registry:
            self.operations += flop_registry[operator.overloadpacket](*arguments, **(options or {}), out_val=output)
        elif operator.overloadpacket.__name__ == "_linear_pointwise":
            self.operations += 2 * arguments[0].numel() * output.shape[1]
        return output


def profile(name: str, precision: str) -> Profile:
    """Of one student in this process."""
    step = training_step(name, precision, MEASURES[-1])
    for _ in range(WARM_UP):
        step()
    with OperatorTimer() as timer:
        for _ in range(STEPS):
            step()
    # Timing the operators takes time between them; what a step takes without is taken from steps without.
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    whole = (time.perf_counter() - began) / STEPS
    seconds = {kind: timer.seconds[kind] / STEPS for kind in SHOWN}
    seconds[BETWEEN] = max(0.0, whole - sum(seconds.values()))
    gflops = timer.operations / sum(timer.seconds[kind] for kind in PRODUCTS) / 1e9
    return Profile(seconds, gflops, best_gflops(precision))


def best_gflops(precision: str) -> float:
    """Of the product of two large matrices, by whichever library is the faster here."""
    left, right = (torch.randn(LARGE, LARGE).to(torch.bfloat16 if precision == "bf16" else torch.float32) for _ in "ab")

    def product() -> Tensor:
        if precision == "fp32" and measured_processor().onednn_is_faster:
            found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
            return found
        return torch.mm(left, right)

    seconds = []
    for _ in range(WARM_UP):
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
    return 2 * LARGE**3 / min(seconds) / 1e9


def measured(name: str, precision: str) -> Profile:
    """Of one student in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.profile", "--one", name, precision]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Profile(**json.loads(said.stdout))


def row(name: str, rounds: list[Profile]) -> list[str]:
    """Milliseconds of a step, per cent of it by kind, and the products' speed."""

    def median(values: Iterable[float], form: str) -> str:
        return f"{statistics.median(values):{form}}"

    wholes = [sum(each.seconds.values()) for each in rounds]
    shares = [
        median((100 * each.seconds[kind] / whole for each, whole in zip(rounds, wholes, strict=True)), ".0f")
        for kind in SHOWN
    ]
    speeds = median((each.gflops for each in rounds), ".0f"), median((each.best_gflops for each in rounds), ".0f")
    return [name, median((1000 * whole for whole in wholes), ".1f"), *shares, *speeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(asdict(profile(*given.one))))
        return
    found = {
        f"{case.student}, {precision}": [measured(case.name, precision) for _ in range(given.rounds)]
        for case in CASES
        for precision in case.precisions
    }
    head = ("student", "a step, ms", *(f"{kind}, %" for kind in SHOWN), "products, GFLOP/s", "a large product, GFLOP/s")
    rows = [row(name, rounds) for name, rounds in found.items()]
    numbers = {name: [asdict(each) for each in rounds] for name, rounds in found.items()}
    publish(PERFORMANCE, "profile", table(head, rows), numbers)


if __name__ == "__main__":
    main()
