"""A training gets the threads that its size is worth."""

import pytest

from models.cost import network_cost
from study.distill.threads import worthwhile_threads


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


def test_every_training_is_worth_a_thread() -> None:
    assert worthwhile_threads(0, 1) == 1
