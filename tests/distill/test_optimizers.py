"""The optimizers are PyTorch's, to the bit."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from study.config import TrainConfig
from study.distill.optimizers import Optimizer

SETTINGS = (
    {"optimizer": "adam"},
    {"optimizer": "adam", "weight_decay": 0.01},
    {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    {"optimizer": "sgd", "momentum": 0.0},
)
RATES = (0.1, 0.05, 0.02, 0.01)


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 4))


def _gradients(network: nn.Module, step: int) -> None:
    images = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(step))
    network(images).square().sum().backward()


def _theirs(network: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    decay = settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), weight_decay=decay, fused=True)
    momentum = settings.momentum
    return torch.optim.SGD(
        network.parameters(), momentum=momentum, nesterov=momentum > 0, weight_decay=decay, fused=True
    )


def _trained(network: nn.Module, optimizer: Optimizer, steps: range) -> list[Tensor]:
    for step in steps:
        optimizer.zero_grad()
        _gradients(network, step)
        optimizer.step(RATES[step])
    return [parameter.detach() for parameter in network.parameters()]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_weights_are_those_that_the_classes_of_pytorch_give(settings: dict[str, object]) -> None:
    config = TrainConfig.model_validate(settings)
    ours, theirs = _network(), _network()
    _trained(ours, Optimizer(ours.parameters(), config), range(len(RATES)))
    optimizer = _theirs(theirs, config)
    for step, rate in enumerate(RATES):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        _gradients(theirs, step)
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_loaded_state_continues_to_the_bit_as_a_copy(settings: dict[str, object]) -> None:
    config = TrainConfig.model_validate(settings)
    undisturbed, first, second = _network(), _network(), _network()
    expected = _trained(undisturbed, Optimizer(undisturbed.parameters(), config), range(4))
    before = Optimizer(first.parameters(), config)
    _trained(first, before, range(2))
    second.load_state_dict(first.state_dict())
    after = Optimizer(second.parameters(), config)
    after.load_state_dict(before.state_dict())
    _trained(first, before, range(2, 4))  # moves the state that was handed over
    assert all(torch.equal(a, b) for a, b in zip(_trained(second, after, range(2, 4)), expected, strict=True))


def test_a_parameter_without_a_gradient_stays_as_it_is() -> None:
    network = _network()
    before = network[4].weight.detach().clone()  # type: ignore[index]
    optimizer = Optimizer(network.parameters(), TrainConfig())
    _gradients(network, 0)
    for parameter in network[4].parameters():  # type: ignore[index]
        parameter.grad = None
    optimizer.step(0.1)
    assert torch.equal(network[4].weight, before)  # type: ignore[index]
    assert not torch.equal(network[3].weight, _network()[3].weight)  # type: ignore[index]


def test_a_training_does_not_bring_the_compiler_with_it() -> None:
    """It would take a second and a hundred MiB of every worker."""
    program = (
        "import sys; sys.path.insert(0, 'tests'); from support.small_training import trial, trainer_of;"
        "t = trainer_of(trial('noisy_teacher', sigma=0.5, alpha=0.5)); t.run_epoch(); t.state_dict();"
        "print('torch._dynamo' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
