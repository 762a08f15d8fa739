"""Students side by side in two forms, one after another and as one stacked network, and students in processes.

Works on networks of the zoo, random images and Adam; nothing else of a study is in it. It shows what
students side by side in one process would gain on a CPU.

    python -m benchmarks.stacked [--batch 64] [--no-publish]

- `in turns`: one process, each student takes a step in turn;
- `stacked`: `torch.func.stack_module_state` and `vmap`: a convolution of N students is a grouped one;
- `processes`: as many processes as cores, with one student and one thread each. This is what a study does.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.optim.adam import adam

from benchmarks.page import PERFORMANCE, ROOT, publish, table
from models import zoo
from study.distill.denormals import flushed_denormals

CLASSES, IMAGES, ROUNDS, SECONDS = 10, 4_000, 3, 0.6
SHAPES = {"digits-fc32": (1, 8, 8), "digits-cnn": (1, 8, 8), "fc800": (1, 28, 28), "student3": (3, 32, 32)}
STUDENTS = (1, 4, 8)


class Parameters:
    """Parameters of one student with the state of Adam, and their update."""

    def __init__(self, values: list[Tensor]) -> None:
        self.values = values
        self._first, self._second = ([torch.zeros_like(one) for one in values] for _ in range(2))
        self._steps = [torch.zeros((), device=one.device) for one in values]

    @torch.no_grad()
    def update(self, gradients: list[Tensor]) -> None:
        same = [one.contiguous() for one in gradients]
        adam(
            self.values,
            same,
            self._first,
            self._second,
            [],
            self._steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=1e-3,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def in_turns(name: str, students: int, batch: int, device: torch.device) -> Callable[[], None]:
    """A step of every student, one after another."""
    networks, images, targets, drawn = _parts(name, students, batch, device)
    own = [Parameters(list(network.parameters())) for network in networks]

    def step() -> None:
        for place, network in enumerate(networks):
            logits = network(images.index_select(0, drawn[place]))
            loss = (logits - targets.index_select(0, drawn[place])).square().mean()
            own[place].update(list(torch.autograd.grad(loss, own[place].values)))

    return step


def stacked(name: str, students: int, batch: int, device: torch.device) -> Callable[[], None]:
    """A step of all students as one network with a further dimension."""
    networks, images, targets, drawn = _parts(name, students, batch, device)
    parameters, buffers = stack_module_state(networks)
    leaves = {key: value.detach().contiguous().requires_grad_() for key, value in parameters.items()}
    own = [Parameters([value.detach()[place] for value in leaves.values()]) for place in range(students)]

    def logits_of(of_one: dict[str, Tensor], own_buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        logits: Tensor = functional_call(networks[0], (of_one, own_buffers), (inputs,))
        return logits

    def step() -> None:
        inputs = images.index_select(0, drawn.reshape(-1)).view(students, batch, *images.shape[1:])
        logits = torch.vmap(logits_of)(leaves, buffers, inputs)
        loss = (logits - targets[drawn]).square().mean((1, 2)).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        for place in range(students):
            own[place].update([gradient[place] for gradient in gradients])

    return step


def _parts(name: str, students: int, batch: int, device: torch.device) -> tuple[list[Any], Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    networks = [zoo.build(name, SHAPES[name], CLASSES).to(device) for _ in range(students)]
    images, targets = torch.rand(IMAGES, *SHAPES[name]).to(device), torch.randn(IMAGES, CLASSES).to(device)
    return networks, images, targets, torch.randint(0, IMAGES, (students, batch)).to(device)


@flushed_denormals()
def images_per_second(step: Callable[[], None], images: int) -> float:
    """Images of all students per second."""
    for _ in range(5):
        step()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        step()
        steps += 1
    return steps * images / (time.perf_counter() - started)


def beside_each_other(name: str, batch: int, count: int) -> float:
    """Images per second of `count` processes with one student and one thread each."""
    command = [sys.executable, "-m", "benchmarks.stacked", "--one", name, "--batch", str(batch)]
    processes: list[Any] = [subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) for _ in range(count)]
    for process in processes:
        process.stdout.readline()
    answers = []
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        answers.append(float(process.stdout.readline()))
        process.wait()
    return sum(answers)


def one_of_them(name: str, batch: int) -> None:
    torch.set_num_threads(1)
    step = in_turns(name, 1, batch, torch.device("cpu"))
    step()
    print("ready", flush=True)
    sys.stdin.readline()
    print(images_per_second(step, batch), flush=True)


def measured_on_cpu(batch: int) -> list[dict[str, Any]]:
    """Images a second of each network in each form. Every round measures every form, so a ratio is of one run."""
    cores, cpu = len(os.sched_getaffinity(0)), torch.device("cpu")
    torch.set_num_threads(cores)
    rows: list[dict[str, Any]] = []
    for name in SHAPES:
        found: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            found.setdefault(f"{cores} processes", []).append(beside_each_other(name, batch, cores))
            for form in (in_turns, stacked):
                for students in STUDENTS:
                    step = form(name, students, batch, cpu)
                    key = f"{form.__name__.replace('_', ' ')}, {students}"
                    found.setdefault(key, []).append(images_per_second(step, students * batch))
        rows.append({"network": name, **{key: round(statistics.median(values)) for key, values in found.items()}})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One row for each network."""
    return table(list(rows[0]), [[f"{x:,}" if isinstance(x, int) else x for x in row.values()] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--publish", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--one", metavar="NETWORK", choices=SHAPES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one_of_them(asked.one, asked.batch)
        return
    rows = measured_on_cpu(asked.batch)
    print(as_markdown(rows))
    if asked.publish:
        numbers = {"batch": asked.batch, "torch": torch.__version__, "images_per_second": rows}
        publish(PERFORMANCE, "stacked", as_markdown(rows), numbers)


if __name__ == "__main__":
    main()
