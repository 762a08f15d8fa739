"""Trainings side by side: each has the numbers and the weights of the training alone, to the bit.

On a CPU they take turns. With a GPU at hand the same tests run there, where steps are captured and run together.
"""

from itertools import cycle
from typing import Any

import pytest
import torch
from support.small_training import (
    CLASSES,
    CONVOLUTIONAL,
    DROPOUT,
    NETWORK,
    logits_for,
    numbers_of,
    same_weights,
    small_data,
    stored_state,
    trial,
)

from study.config import TrialConfig
from study.distill.captured import StepTables
from study.distill.epoch import EpochSteps
from study.distill.side_by_side import run_epochs, streams
from study.distill.trainer import DistillationTrainer, Diverged, TrainingData
from study.noise.settings import READINGS
from study.records import EpochRecord

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
NOISE: dict[str, Any] = {"sigma": {"uniform": [0.1, 1]}, "alpha": 0.5}

GROUPS: dict[str, list[TrialConfig]] = {
    "seeds": [trial("noisy_teacher", seed, **NOISE) for seed in range(5)],
    "methods": [
        trial(network=CONVOLUTIONAL),
        trial("noisy_teacher", network=CONVOLUTIONAL, **NOISE),
        trial("noisy_student", network=CONVOLUTIONAL, **NOISE),
        trial("soft_targets", network=CONVOLUTIONAL),
        trial("labels", network=CONVOLUTIONAL),
        trial("labels", network=CONVOLUTIONAL, label_noise=0.3),
    ],
    "readings": [trial("noisy_teacher", noise=noise, **NOISE) for noise in READINGS.values()],
    "optimizers": [
        trial(optimizer="adam", lr=0.03, schedule="cosine"),
        trial(optimizer="adam", weight_decay=0.01),
        trial(optimizer="sgd", momentum=0.9),
        trial(optimizer="sgd", momentum=0.0, schedule="cosine"),
    ],
    "dropout": [trial("noisy_teacher", seed, network=DROPOUT, **NOISE) for seed in range(3)],
    "numbers of steps": [trial(batch_size=4), trial(batch_size=16), trial(batch_size=45), trial(batch_size=64)],
    "precisions": [trial(network=CONVOLUTIONAL, precision=precision) for precision in ("fp32", "tf32", "bf16")],
    "networks": [trial(network=NETWORK), trial(network=CONVOLUTIONAL)],
}
# cuDNN's fastest algorithms give resnet8 other last bits in each run on a GPU, also alone and uncaptured.
ON_A_CPU = {"resnet8": [trial(network="resnet8"), trial(network="resnet8", seed=1)]}


def _trainer(config: TrialConfig, device: str, stream: Any = None, captures: bool = True) -> DistillationTrainer:
    data = small_data(45, mirror=True)
    target = None if config.method == "labels" else logits_for(data)
    there = TrainingData(data.train.to(device), data.validation.to(device), data.input_shape, data.classes)
    return DistillationTrainer(config, there, target, device, onednn=False, stream=stream, captures=captures)


def _side_by_side(configs: list[TrialConfig], device: str) -> list[DistillationTrainer]:
    queues = streams(torch.device(device))
    trainers = [_trainer(config, device, next(queues)) for config in configs]
    for _ in range(3):
        assert all(isinstance(end, EpochRecord) for end in run_epochs(trainers))
    return trainers


def _alone(config: TrialConfig, device: str, captures: bool = True) -> DistillationTrainer:
    trainer = _trainer(config, device, captures=captures)
    for _ in range(3):
        trainer.run_epoch()
    return trainer


@pytest.mark.parametrize("configs", ON_A_CPU.values(), ids=ON_A_CPU)
def test_each_is_the_training_alone_on_a_cpu(configs: list[TrialConfig]) -> None:
    test_each_is_the_training_alone(configs, "cpu")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("configs", GROUPS.values(), ids=GROUPS)
def test_each_is_the_training_alone(configs: list[TrialConfig], device: str) -> None:
    for config, trainer in zip(configs, _side_by_side(configs, device), strict=True):
        alone = _alone(config, device)
        assert numbers_of(trainer) == numbers_of(alone), config
        assert same_weights(trainer, alone), config


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("configs", GROUPS.values(), ids=GROUPS)
def test_a_captured_step_is_the_plain_step(configs: list[TrialConfig]) -> None:
    for config in configs:
        captured, plain = _alone(config, "cuda"), _alone(config, "cuda", captures=False)
        assert captured.not_captured is None
        assert numbers_of(captured) == numbers_of(plain), config
        assert same_weights(captured, plain), config


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_step_that_waits_for_the_gpu_runs_uncaptured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Waits(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images.flatten(1) * float(images.max()))

    monkeypatch.setattr("models.zoo.build", lambda *_: Waits(16, CLASSES))
    captured, plain = _alone(trial(), "cuda"), _alone(trial(), "cuda", captures=False)
    assert captured.not_captured is not None
    assert numbers_of(captured) == numbers_of(plain)


@pytest.mark.parametrize("device", DEVICES)
def test_one_that_diverges_leaves_the_others_alone(device: str) -> None:
    configs = [trial(seed=1), trial(lr=100, optimizer="sgd", batch_size=2), trial(seed=2)]
    trainers = [_trainer(config, device) for config in configs]
    ends = run_epochs(trainers)
    assert [type(end) for end in ends] == [EpochRecord, Diverged, EpochRecord]
    for place in (0, 2):
        alone = _trainer(configs[place], device)
        alone.run_epoch()
        assert same_weights(trainers[place], alone)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", [NETWORK, DROPOUT])
def test_each_resumes_from_its_own_state(network: str, device: str) -> None:
    """One after two epochs, with others than before beside it."""
    configs = [trial("noisy_teacher", seed, network=network, **NOISE) for seed in range(3)]
    undisturbed = _side_by_side(configs, device)
    first = [_trainer(config, device) for config in configs]
    for _ in range(2):
        run_epochs(first)
    resumed = [_trainer(config, device) for config in configs[1:]]
    for before, after in zip(first[1:], resumed, strict=True):
        after.load_state_dict(stored_state(before))
    run_epochs(resumed)
    for after, whole in zip(resumed, undisturbed[1:], strict=True):
        assert numbers_of(after) == numbers_of(whole)
        assert same_weights(after, whole)


def test_seconds_are_shared() -> None:
    trainers = [_trainer(trial(seed=seed), "cpu") for seed in range(4)]
    records = [end for end in run_epochs(trainers) if isinstance(end, EpochRecord)]
    assert len(records) == 4
    for record in records:
        assert 0 < record.seconds < 1 / record.images_per_second * 90 * 4


def test_tables_give_the_inputs_of_the_steps_in_order() -> None:
    device = torch.device("cpu")
    epochs = [
        EpochSteps.on(device, (4, 4, 2), torch.randperm(10), torch.randn(10, CLASSES), (0.3, 0.2, 0.1)) for _ in "ab"
    ]
    tables = StepTables(epochs[0], step=1)
    _same(tables.read(), epochs[0].inputs[1])
    for epoch, _ in zip(cycle(epochs), range(3), strict=False):
        tables.load(epoch)
        for inputs in epoch.inputs[:2]:
            _same(tables.read(), inputs)


def _same(read: tuple[Any, ...], inputs: tuple[Any, ...]) -> None:
    for one, other in zip(read, inputs, strict=True):
        assert torch.equal(one, torch.as_tensor(other, dtype=one.dtype))


def test_the_inputs_of_an_epoch_are_split_once() -> None:
    """Splitting them again in every step made an epoch of 700 tiny steps five times as long."""
    epoch = EpochSteps.on(torch.device("cpu"), (4, 4, 2), torch.randperm(10), None, (0.3, 0.2, 0.1))
    assert epoch.inputs is epoch.inputs
