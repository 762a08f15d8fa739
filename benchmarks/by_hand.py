"""The same student trained in three ways without a study: a bare loop, the usual script, and torchdistill's box.

Each runs in a process of its own, trains the case's student with the noise of a noisy teacher (σ = α = 0.5), and
prints images per second, of the clock and of its processor time. Knows nothing of studies.

    python -m benchmarks.by_hand bare|script|torchdistill CASE DATA_ROOT [--precision bf16] [--workers 2] [--threads 1]

- `bare` does what a trial does and nothing else: images and stored logits in memory, channels last, fused Adam, freed
  memory kept, oneDNN's products, denormal numbers as zero, one validation an epoch. Timed from the end of its first
  epoch to the end of its last.
- `script` is what a distillation is usually written as: a torchvision set, a DataLoader, the teacher in every step.
- `torchdistill` is version 1.1.5 of that package, used as its own examples are: a DistillationBox made from a
  configuration, its data loaders, hooks, losses and optimiser, and the loop of its example script.

The last two train in fp32, and are timed for some seconds after their first batches and for an epoch's validation, cut
to the share of the epoch that those seconds were.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset
from torchvision import datasets, transforms

from benchmarks.cases import Case, case_named, data_of
from models import zoo
from study.adapters.glibc import keep_freed_memory
from study.adapters.onednn import multiply_with_onednn
from study.data.tensors import shared_tensor
from study.distill.denormals import flushed_denormals
from study.distill.processor import measured_processor

BATCH, LR, SIGMA, ALPHA, CLASSES = 64, 1e-3, 0.5, 0.5, 10
SECONDS = 8.0
"""Of training, where whole epochs would take too long."""
WARM_UP = 5
"""Batches before the clock starts."""


class Watch:
    """Counts images, from its start on, per second of the clock and per second of this process's processor time."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._clock

    def speeds(self, images: int) -> tuple[float, float]:
        return images / self.seconds, images / (time.process_time() - self._processor)


@flushed_denormals()
def bare_loop(case: Case, root: Path, precision: str) -> tuple[float, float]:
    """The fastest loop that was found: everything in memory, nothing but training and validation."""
    keep_freed_memory()
    data = data_of(case, root)
    images, held_out = shared_tensor(data.train.images), shared_tensor(data.validation.images)
    labels = shared_tensor(data.validation.labels)
    mean = torch.zeros(data.input_shape) if data.pixel_mean is None else torch.from_numpy(data.pixel_mean)
    targets = torch.randn(data.train_size, CLASSES)
    network = zoo.build(case.student, data.input_shape, CLASSES).to(memory_format=torch.channels_last)
    if precision == "fp32" and measured_processor().onednn_is_faster:
        multiply_with_onednn(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    def pixels(stored: Tensor) -> Tensor:
        return stored.float().div_(255).sub_(mean).contiguous(memory_format=torch.channels_last)

    watch = Watch()
    for epoch in range(case.epochs):
        network.train()
        for batch in torch.split(torch.randperm(data.train_size), BATCH):
            x = pixels(images[batch % len(images)])
            if data.mirror:
                flipped = batch >= len(images)
                x[flipped] = x[flipped].flip(3)
            z = noisy(targets[batch])
            with autocast:
                logits = network(x)
            loss = (logits.float() - z).square().sum(dim=1).mean() / 2
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode(), autocast:
            wrong = 0
            for stored, y in zip(torch.split(held_out, 250), torch.split(labels, 250), strict=True):
                wrong += int((network(pixels(stored)).argmax(dim=1) != y).sum())
        if epoch == 0:
            watch = Watch()
    return watch.speeds((case.epochs - 1) * data.train_size)


def usual_script(case: Case, root: Path, workers: int) -> tuple[float, float]:
    """A DataLoader, the teacher in every step, fp32."""
    data = torchvision_set(case, root)
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=workers)
    teacher, student = networks(case)
    optimizer = torch.optim.Adam(student.parameters(), lr=LR)
    student.train()

    def epoch() -> Iterator[int]:
        running_loss = 0.0
        for images, _ in loader:
            with torch.no_grad():
                z = noisy(teacher(images))
            loss = ((student(images) - z) ** 2).sum(dim=1).mean() / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            yield len(images)

    return timed(case, epoch, student, data)


def with_torchdistill(case: Case, root: Path, workers: int) -> tuple[float, float]:
    """A DistillationBox and the training loop of torchdistill's example of image classification."""
    from torchdistill.core.distillation import DistillationBox
    from torchdistill.core.interfaces.registry import register_forward_proc_func
    from torchdistill.misc.log import MetricLogger, SmoothedValue

    logging.getLogger("torchdistill").setLevel(logging.WARNING)

    def noisy_forward(model: nn.Module, images: Tensor, *_: object, **__: object) -> Tensor:
        return noisy(model(images))

    register_forward_proc_func(noisy_forward, key="noisy_forward")
    data = torchvision_set(case, root)
    teacher, student = networks(case)
    output = {"module_path": ".", "io": "output"}
    box = DistillationBox(
        teacher,
        student,
        {"train": data},
        {
            "num_epochs": 1,
            "train_data_loader": {
                "dataset_id": "train",
                "sampler": {"class_or_func": RandomSampler},
                "kwargs": {"batch_size": BATCH, "num_workers": workers},
            },
            "teacher": {"forward_proc": "noisy_forward", "requires_grad": False},
            "student": {"forward_proc": "forward_batch_only"},
            "optimizer": {"key": "Adam", "kwargs": {"lr": LR}},
            "criterion": {
                "key": "WeightedSumLoss",
                "kwargs": {
                    "sub_terms": {
                        "logit_regression": {
                            "criterion": {"key": "MSELoss", "kwargs": {"reduction": "mean"}},
                            "criterion_wrapper": {
                                "key": "SimpleLossWrapper",
                                "kwargs": {
                                    "input": {"is_from_teacher": False, **output},
                                    "target": {"is_from_teacher": True, **output},
                                },
                            },
                            "weight": CLASSES / 2,  # its mean is over the classes too
                        }
                    }
                },
            },
        },
        torch.device("cpu"),
        None,
        False,
        1,
    )

    def epoch() -> Iterator[int]:
        metrics = MetricLogger(delimiter="  ")
        metrics.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
        metrics.add_meter("img/s", SmoothedValue(window_size=10, fmt="{value}"))
        box.student_model.train()
        box.teacher_model.eval()
        box.pre_epoch_process(epoch=0)
        for images, labels, extra in metrics.log_every(box.train_data_loader, 1000, ""):
            started = time.time()
            box.pre_forward_process()
            loss = box.forward_process(images, labels, extra)
            box.post_forward_process(loss=loss)
            metrics.update(loss=loss.item(), lr=box.optimizer.param_groups[0]["lr"])
            metrics.meters["img/s"].update(len(images) / (time.time() - started))
            yield len(images)

    return timed(case, epoch, box.student_model, data)


class Pictures(Dataset[tuple[Any, int]]):
    """What torchvision's CIFAR10 is once it has read its files: bytes, one PIL image and its transforms an index."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self._images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), self._labels[index]


def torchvision_set(case: Case, root: Path) -> "Dataset[tuple[Any, int]]":
    if case.dataset == "mnist":
        digits: Dataset[tuple[Any, int]] = datasets.MNIST(str(root), train=True, transform=transforms.ToTensor())
        return digits
    data = data_of(case, root)
    steps = [transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [1.0] * 3)]
    return Pictures(shared_tensor(data.train.images), shared_tensor(data.train.labels), transforms.Compose(steps))


def networks(case: Case) -> tuple[nn.Module, nn.Module]:
    shape = (1, 28, 28) if case.dataset == "mnist" else (3, 32, 32)
    return zoo.build(case.teacher, shape, CLASSES).eval(), zoo.build(case.student, shape, CLASSES)


def noisy(z: Tensor) -> Tensor:
    """The teacher's logits, a share α of the samples perturbed."""
    chosen = torch.rand(len(z), 1) < ALPHA
    return torch.where(chosen, (1 + SIGMA * torch.randn_like(z)) * z, z)


def timed(
    case: Case, epoch: Callable[[], Iterator[int]], student: nn.Module, data: "Dataset[tuple[Any, int]]"
) -> tuple[float, float]:
    """Speeds of as many steps as take `SECONDS`, without the first, and of their share of an epoch's validation."""
    steps, images, watch = 0, 0, Watch()
    while True:
        for count in epoch():
            steps += 1
            if steps == WARM_UP:
                images, watch = 0, Watch()
            elif steps > WARM_UP:
                images += count
                if watch.seconds > SECONDS:
                    validate(student, data, round(images * case.validation / case.epoch_images))
                    return watch.speeds(images)


def validate(student: nn.Module, data: "Dataset[tuple[Any, int]]", images: int) -> float:
    """The student's error on the first images, which are as good as others to be timed with."""
    student.eval()
    wrong = 0
    with torch.no_grad():
        for batch, labels in DataLoader(Subset(data, range(images)), batch_size=BATCH):
            wrong += int((student(batch).argmax(dim=1) != labels).sum())
    return wrong / images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=("bare", "script", "torchdistill"))
    parser.add_argument("case", type=case_named)
    parser.add_argument("root", type=Path)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoader")
    parser.add_argument("--threads", type=int, help="PyTorch's own choice unless given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    if given.way == "bare":
        speeds = bare_loop(given.case, given.root, given.precision)
    elif given.way == "script":
        speeds = usual_script(given.case, given.root, given.workers)
    else:
        speeds = with_torchdistill(given.case, given.root, given.workers)
    print(*speeds)


if __name__ == "__main__":
    main()
