"""Small trials without Ray, each in a folder of its own, that are run again and again.

A pytest plugin (PYTEST_DONT_REWRITE: it is imported before it is one).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from study.config import TrialConfig
from study.data.dataset import Dataset, Split
from study.distill.logit_store import LogitStore
from study.records import TrainingSummary, TrialReport
from study.running.job import DeviceImages, TrialJob
from study.running.trial import FloatArray, TrialRun

CLASSES, TRAIN_IMAGES = 3, 48
TARGET, LOGITS = "the-target", "the-logits"


def split(count: int, seed: int) -> Split:
    """Images of 1x4x4 pixels in three classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = random.integers(0, 180, (count, 1, 4, 4), dtype=np.uint8)
    images[np.arange(count), 0, labels] += 70
    images.flags.writeable = labels.flags.writeable = False  # as they come out of shared memory
    return Split(images, labels)


@pytest.fixture(scope="module")
def images() -> DeviceImages:
    splits = (split(TRAIN_IMAGES // 2, 1), split(30, 2), split(30, 3))
    return DeviceImages(Dataset("small", ("a", "b", "c"), *splits, 255.0, None, mirror=True, digest="d"))


@pytest.fixture(scope="module")
def targets() -> dict[str, FloatArray]:
    logits = np.random.default_rng(4).normal(size=(TRAIN_IMAGES, CLASSES)).astype(np.float32) * 3
    logits.flags.writeable = False
    return {TARGET: logits}


def student(**settings: Any) -> TrialConfig:
    train = {"epochs": 5, "batch_size": 16, "lr": 0.01, "patience": 0, **settings.pop("train", {})}
    noise = {"method": "noisy_teacher", "sigma": 0.5, "alpha": 0.5}
    common = {"stage": "grid", "role": "arm", "network": "FC8-D0.2-FC3", "seed": 0, "train": train}
    return TrialConfig.model_validate({**common, **noise, **settings})


def teacher(**settings: Any) -> TrialConfig:
    return student(stage="teacher", role="teacher", method="labels", sigma=0.0, alpha=0.0, **settings)


class Trials:
    """Trials of one study folder; asking for the same one twice is another process that takes it up."""

    def __init__(self, folder: Path, images: DeviceImages, targets: dict[str, FloatArray]) -> None:
        self.folder, self.images, self.targets = folder, images, targets

    def run(self, trial: TrialConfig, name: str = "grid-0000") -> TrialRun:
        job = TrialJob(
            number=7,
            trial=trial,
            folder=self.folder / "trials" / name,
            target=None if trial.method == "labels" else TARGET,
            logit_store=self.folder / "logits",
            logit_key=LOGITS if trial.stage == "teacher" else None,
        )
        return TrialRun(job, self.targets, self.images)

    @property
    def logits(self) -> torch.Tensor | None:
        return LogitStore(self.folder / "logits").read(LOGITS, TRAIN_IMAGES)


@pytest.fixture
def trials(tmp_path: Path, images: DeviceImages, targets: dict[str, FloatArray]) -> Trials:
    return Trials(tmp_path, images, targets)


def to_the_end(run: TrialRun) -> list[TrialReport]:
    reports = [run.step()]
    while reports[-1].summary is None and reports[-1].fatal is None:
        reports.append(run.step())
    return reports


def summary_of(report: TrialReport) -> TrainingSummary:
    assert report.summary is not None
    return report.summary


def numbers_of(report: TrialReport) -> list[tuple[int, float, float]]:
    return [(epoch.epoch, epoch.train_loss, epoch.val_error) for epoch in report.epochs]


def same_weights(one: TrialRun, other: TrialRun) -> bool:
    first, second = load_file(one.weights_file), load_file(other.weights_file)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
