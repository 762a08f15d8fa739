"""A training small enough for a test: 1x4x4 images of three classes that a tiny network can tell apart."""

import io
from typing import Any

import torch
from torch import Tensor

from study.config import TrainConfig, TrialConfig
from study.data.tensors import ImageTensors
from study.distill.trainer import DistillationTrainer, TrainingData
from study.stages import Stage

CLASSES, SHAPE = 3, (1, 4, 4)
NETWORK = "FC8-FC3"
DROPOUT = "FC8-D0.5-FC3"
CONVOLUTIONAL = "C3(S1P1)@4B-MP2(S2)-FC3"


class WatchedImages(ImageTensors):
    """Images that remember which were drawn."""

    def __init__(self, images: Tensor, labels: Tensor, mirror: bool = False) -> None:
        super().__init__(images, labels, mirror=mirror)
        self.drawn: list[Tensor] = []

    def batch(self, indices: Tensor) -> Tensor:
        self.drawn.append(indices.clone())
        return super().batch(indices)


def images(count: int, seed: int, mirror: bool = False) -> WatchedImages:
    """Class k is bright in row k; the rest is noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    pixels = torch.rand(count, *SHAPE, generator=generator) * 0.7
    pixels[torch.arange(count), 0, labels] += 0.5
    return WatchedImages(pixels, labels, mirror)


def small_data(count: int = 45, mirror: bool = False) -> TrainingData:
    return TrainingData(images(count, 1, mirror), images(30, 2), SHAPE, CLASSES)


def logits_for(data: TrainingData) -> Tensor:
    """Teacher logits, of both signs, that speak for the right class."""
    generator = torch.Generator().manual_seed(3)
    labels = data.train.labels(torch.arange(len(data.train)))
    right = torch.nn.functional.one_hot(labels, CLASSES)
    return 4 * right - 1 + torch.randn(len(data.train), CLASSES, generator=generator)


def trial(method: str = "logit_regression", seed: int = 0, **settings: object) -> TrialConfig:
    """A trial on the small data; settings of `train` may be given beside those of the method."""
    train = {key: settings.pop(key) for key in list(settings) if key in TrainConfig.model_fields}
    train = {"epochs": 3, "batch_size": 16, "lr": 0.01, **train}
    stage: Stage = "grid"
    softness = {"temperature": 2.0, "hard_loss_weight": 0.3} if method == "soft_targets" else {}
    given = {"stage": stage, "role": "arm", "network": NETWORK, **softness, **settings}
    return TrialConfig.model_validate({**given, "method": method, "seed": seed, "train": train})


def trainer_of(config: TrialConfig, data: TrainingData | None = None) -> DistillationTrainer:
    data = data or small_data()
    return DistillationTrainer(config, data, None if config.method == "labels" else logits_for(data))


def trained(config: TrialConfig, data: TrainingData | None = None) -> DistillationTrainer:
    """Trained to its end, best weights not restored."""
    trainer = trainer_of(config, data)
    while not trainer.finished:
        trainer.run_epoch()
    return trainer


def same_weights(one: DistillationTrainer, other: DistillationTrainer) -> bool:
    """Whether every weight of the two networks is the same to the last bit."""
    first, second = one.network.state_dict(), other.network.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def numbers_of(trainer: DistillationTrainer) -> list[tuple[int, float, float]]:
    return [(record.epoch, record.train_loss, record.val_error) for record in trainer.history]


def run_to_the_end(trainer: DistillationTrainer) -> None:
    while not trainer.finished:
        trainer.run_epoch()


def stored_state(trainer: DistillationTrainer) -> dict[str, Any]:
    """The trainer's state as it comes back from a file."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state
