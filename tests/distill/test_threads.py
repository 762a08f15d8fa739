"""A training gets the threads that its size is worth."""

import os
import subprocess
import sys

import pytest

from models.cost import network_cost
from study.distill.threads import teacher_threads, worthwhile_threads


@pytest.mark.parametrize(
    ("network", "shape", "batch_size", "threads"),
    [
        ("digits-fc32", (1, 8, 8), 64, 1),
        ("digits-cnn", (1, 8, 8), 16, 1),
        ("digits-cnn", (1, 8, 8), 64, 1),
        ("fc800", (1, 28, 28), 64, 1),
        ("lenet-mnist", (1, 28, 28), 64, 2),
        ("student3", (3, 32, 32), 64, 8),
        ("nin", (3, 32, 32), 64, 284),
    ],
)
def test_a_small_network_is_worth_one_thread(
    network: str, shape: tuple[int, int, int], batch_size: int, threads: int
) -> None:
    assert worthwhile_threads(network_cost(network, shape, 10).multiplications, batch_size) == threads


@pytest.mark.parametrize(("multiplications", "threads"), [(0, 1), (1_600_000, 2), (1_000_000_000, 4)])
def test_a_teacher_gets_threads_by_its_size_alone(multiplications: int, threads: int) -> None:
    assert teacher_threads(multiplications, 64) == threads


TRAIN = """
import hashlib, os, sys
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]))
import torch
from support.small_training import small_data, trained, trial
from study.distill.teachers import logits_of
from study.distill.threads import using_threads
with using_threads(4):
    teacher = trained(trial("labels", network="FC600-FC600-FC3", batch_size=45, epochs=2))
    logits = logits_of(teacher.network, small_data().train)
content = b"".join(each.numpy().tobytes() for each in [*teacher.network.state_dict().values(), logits])
print(hashlib.sha256(content).hexdigest(), torch.get_num_threads())
"""


def test_a_teacher_has_the_same_bytes_on_one_core_and_on_all() -> None:
    """Four threads on one core, and on as many as there are: each time the same weights and logits."""
    digests = []
    for cores in (1, os.cpu_count() or 1):
        command = [sys.executable, "-c", TRAIN, str(cores)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["tests", "."]), "OMP_WAIT_POLICY": "PASSIVE"}
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        digests.append(ran.stdout.split()[0])
    assert digests[0] == digests[1]


def test_every_training_is_worth_a_thread() -> None:
    assert worthwhile_threads(0, 1) == 1
