"""A teacher that exists already: its weights or its logits are read from a file, and it is measured.

Works on a `TrialConfig` and images in memory. Knows nothing of folders of trials.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from models.zoo import weights_file
from study.config import TrialConfig
from study.data.dataset import Labels
from study.distill.evaluation import error_of, predicted_classes_of
from study.distill.given_logits import read_logits
from study.distill.teachers import load_weights, logits_of
from study.distill.trainer import TrainingData, initial_network
from study.records import TrainingSummary

if TYPE_CHECKING:
    from study.running.job import DeviceImages


class GivenTeacher(NamedTuple):
    """What students learn from, and how good it is.

    Attributes:
        train: logits of all training images, mirror images behind, (images, classes).
        validation: logits of the validation images.
        summary: its errors. Without test logits there is no test error.
    """

    train: Tensor
    validation: Tensor
    summary: TrainingSummary


def read_teacher(trial: TrialConfig, images: "DeviceImages", data: TrainingData) -> GivenTeacher:
    """Read a teacher's file and measure the teacher.

    Raises:
        UserError: the file cannot be used.
    """
    return _by_logits(trial.logits, images) if trial.logits is not None else _by_weights(trial, images, data)


def in_words(trial: TrialConfig, summary: TrainingSummary) -> str:
    """One line about how good a teacher is that was read from a file. Only the user knows how good it should be."""
    kind, error = ("validation", summary.best_val_error) if summary.test_error is None else ("test", summary.test_error)
    if error is None:
        return f"teacher {trial.network}: read, not measured"
    return (
        f"teacher {trial.network}: {kind} error {100 * error:.2f} % on the images of this study; if you know a much "
        "lower one, compare normalisation, size and order of the classes (docs/how-to.md)"
    )


def _by_weights(trial: TrialConfig, images: "DeviceImages", data: TrainingData) -> GivenTeacher:
    assert trial.weights is not None
    started = time.perf_counter()
    network = initial_network(trial, data)
    load_weights(network, weights_file(trial.weights), trial.strict)
    network.to(images.device)
    train, validation = logits_of(network, images.train), logits_of(network, images.validation)
    summary = TrainingSummary(
        outcome="completed",
        epochs=0,
        best_val_error=error_of(network, images.validation),
        train_seconds=time.perf_counter() - started,
        test_error=error_of(network, images.test),
        predicted_classes=predicted_classes_of(network, images.test),
    )
    return GivenTeacher(train, validation, summary)


def _by_logits(file: str, images: "DeviceImages") -> GivenTeacher:
    started, dataset = time.perf_counter(), images.dataset
    given = read_logits(Path(file), dataset.class_count)
    train, validation = given.of(dataset, "train"), given.of(dataset, "validation")
    summary = TrainingSummary(
        outcome="completed",
        epochs=0,
        best_val_error=_error(validation, dataset.validation.labels),
        train_seconds=time.perf_counter() - started,
        test_error=_error(given.test, dataset.test.labels) if given.test is not None else None,
        predicted_classes=len(set(given.test.argmax(dim=1).tolist())) if given.test is not None else None,
    )
    return GivenTeacher(train, validation, summary)


def _error(logits: Tensor, labels: Labels) -> float:
    wrong = logits.argmax(dim=1) != torch.tensor(labels)
    return int(wrong.sum()) / len(labels)
