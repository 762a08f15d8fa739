"""The students whose training is timed, and random images for them in the data sets' own file formats.

Knows nothing of who trains them. Speed depends on images in one way: pixels that are hardly ever set and units that die
leave denormal numbers behind in the optimizer (docs/performance.md). So the digits have an edge that is nearly empty.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from study.config import DataConfig
from study.data.dataset import Dataset
from study.data.load import load_dataset

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Case:
    """One student and its teacher on one kind of images.

    Attributes:
        train, validation: how many images there are; CIFAR-10's mirror images come on top.
        epochs: of the sides that train for epochs; all but the first are timed, so the tenth is in.
        precisions: in which a study and the bare loop train; scripts train in fp32.
        rounds: how often every side is measured.
    """

    name: str
    dataset: Literal["mnist", "cifar10"]
    teacher: str
    student: str
    train: int
    validation: int
    epochs: int
    precisions: tuple[Precision, ...]
    rounds: int

    @property
    def epoch_images(self) -> int:
        """Training images of one epoch."""
        return self.train * (2 if self.dataset == "cifar10" else 1)


CASES = (
    Case("mnist-fc800", "mnist", "lenet-mnist", "fc800", 25_000, 5_000, 11, ("fp32", "bf16"), 5),
    Case("nin-student3", "cifar10", "nin", "student3", 6_000, 670, 11, ("fp32", "bf16"), 5),
    Case("nin-lenet-cifar10", "cifar10", "nin", "lenet-cifar10", 2_000, 220, 11, ("fp32", "bf16"), 3),
)


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def data_of(case: Case, root: Path) -> Dataset:
    """The case's images as a study reads them."""
    return load_dataset(DataConfig.model_validate({"name": case.dataset, "validation": case.validation}), root)


def write_images(case: Case, root: Path, seed: int = 0) -> None:
    """Random images in the data set's own file format."""
    rng = np.random.default_rng(seed)
    count = case.train + case.validation
    if case.dataset == "mnist":
        raw = root / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for part, images in (("train", count), ("t10k", 1000)):
            pixels = rng.integers(0, 256, (images, 28, 28), dtype=np.uint8) * (rng.random((images, 28, 28)) < _SET)
            header = np.array([0x803, images, 28, 28], dtype=">i4").tobytes()
            (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.astype(np.uint8).tobytes())
            header = np.array([0x801, images], dtype=">i4").tobytes()
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + _labels(images).tobytes())
        return
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join(f"class{index}" for index in range(10)) + "\n")
    parts = {f"data_batch_{number}.bin": count // 5 for number in range(1, 6)} | {"test_batch.bin": 1000}
    for name, images in parts.items():
        pixels = rng.integers(0, 256, (images, 3072), dtype=np.uint8)
        (folder / name).write_bytes(np.hstack([_labels(images)[:, None], pixels]).tobytes())


_FROM_THE_EDGE = np.minimum(np.arange(28), np.arange(28)[::-1])
_SET = np.minimum(0.5, 1e-4 * 4.0 ** np.minimum.outer(_FROM_THE_EDGE, _FROM_THE_EDGE))
"""The share of digits that have a pixel set: half of them in the middle, one of 10,000 at the edge."""


def _labels(images: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.arange(images, dtype=np.uint8) % 10
