"""The trainer: it trains one network, one epoch with each call. One dictionary has its whole state.

Works on images in memory, a target of logits and a `TrialConfig`. It trains students (from logits, noisy or not) and
teachers (from labels). Knows nothing of its caller, of checkpoint files or of where metrics are written. It uses the
test set only if the caller passes it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models import zoo
from models.own_code import is_own
from study.adapters.onednn import has_large_layers, multiply_with_onednn
from study.config import TrialConfig
from study.data.tensors import ImageTensors, batch_sizes
from study.distill.denormals import flushed_denormals
from study.distill.label_noise import with_random_labels
from study.distill.noise_size import noise_rms, perturbation_of, root_mean_square
from study.distill.optimizers import Optimizer
from study.distill.precision import fp32_products
from study.distill.processor import measured_processor
from study.distill.streams import Streams, derived
from study.distill.teachers import logits_of
from study.methods.base import Batch
from study.records import EpochRecord

EVALUATION_BLOCK, EVALUATION_BLOCK_ON_CPU = 1000, 100
"""Images in a forward pass without gradients. On a CPU more images are not faster, and need more memory."""


class Diverged(Exception):
    """The training loss is no longer a finite number; the message names the epoch."""


@dataclass(frozen=True)
class TrainingData:
    """The images of one training: those to learn from, and those that measure the error after every epoch."""

    train: ImageTensors
    validation: ImageTensors
    input_shape: tuple[int, int, int]
    classes: int


class DistillationTrainer:
    """Trains one network as a `TrialConfig` says.

    Args:
        trial: method, noise, training settings and seed.
        data: images on the device.
        target: the teachers' combined logits for every training image, float32 (train images, classes). Those of mirror
            images follow those of the images. None for a method without teachers.
        device: where to train.
        onednn: whether oneDNN multiplies the large fully connected layers, which changes the last bits. It is used only
            on a CPU and not in bf16. None: it is used if it is faster, which is measured in this process.

    Raises:
        ValueError: the target is missing, has another shape, or is given to a method without teachers.

    Example:
        >>> trainer = DistillationTrainer(trial, data, target)
        >>> while not trainer.finished:
        ...     print(trainer.run_epoch())
        >>> trainer.load_best()
        >>> error_of(trainer.network, test_images)
    """

    @flushed_denormals()
    def __init__(
        self,
        trial: TrialConfig,
        data: TrainingData,
        target: Tensor | None,
        device: torch.device | str = "cpu",
        onednn: bool | None = None,
    ):
        self._method = trial.learns
        if (target is None) == self._method.has_teachers:
            raise ValueError(f"method {trial.method} {'needs a target' if target is None else 'takes no target'}")
        if target is not None and target.shape != (len(data.train), data.classes):
            raise ValueError(f"a target of shape {tuple(target.shape)} for {len(data.train)} x {data.classes} logits")
        self.trial = trial
        self.data = data
        self.device = torch.device(device)
        self.network = initial_network(trial, data).to(self.device)
        if not is_own(trial.network):  # code of the user may use `view`, which needs the channels outermost
            # Convolutions are a third faster with the channels innermost, on CPUs in fp32 too (docs/performance.md).
            self.network = self.network.to(memory_format=torch.channels_last)
        single = self.device.type == "cpu" and trial.train.precision != "bf16"
        if single and onednn is None and has_large_layers(self.network):
            onednn = measured_processor().onednn_is_faster
        if single and onednn:
            multiply_with_onednn(self.network)
        # PyTorch refuses batch normalisation of one image whose maps have one pixel: one value has no variance.
        norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        normalised = any(isinstance(part, norms) for part in self.network.modules())
        self._least_images = 2 if normalised else 1
        self.history: list[EpochRecord] = []
        self._target = None if target is None else target.to(self.device)
        self._streams = Streams.of(trial.seed)
        self._noise = perturbation_of(trial, self._target, self._streams)
        self._labels: Callable[[Tensor], Tensor] = data.train.labels
        if trial.label_noise > 0:
            right = data.train.labels(torch.arange(len(data.train), device=self.device))
            noisy = with_random_labels(right, trial.label_noise, data.classes, trial.seed)
            self._labels = partial(torch.index_select, noisy, 0)
        self._optimizer = Optimizer(self.network.parameters(), trial.train)
        self._dropout_state = _seeded_global_state(derived(trial.seed, "dropout"), self.device)
        self._best_weights = _copy(self.network.state_dict())
        self._best_val_error = math.inf
        self._best_epoch = 0

    # ------------------------------------------------------------------------------------------------- progress

    @property
    def epoch(self) -> int:
        """The number of epochs that were trained."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` epochs did not improve the validation error."""
        settings = self.trial.train
        tired = settings.patience > 0 and self.epoch - self._best_epoch >= settings.patience
        return self.epoch >= settings.epochs or (self.epoch > 0 and tired)

    @property
    def best_val_error(self) -> float | None:
        return self._best_val_error if self._best_epoch else None

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the lowest validation error, from 1."""
        return self._best_epoch or None

    @property
    def train_seconds(self) -> float:
        """Seconds of all epochs, including validation, also of epochs that ran in an earlier process."""
        return sum(record.seconds for record in self.history)

    @property
    def to_target(self) -> tuple[int, float] | None:
        """Epochs and seconds until the validation error was at most `target_error`. None if it was not reached, or if
        there is no target."""
        target, seconds = self.trial.train.target_error, 0.0
        for record in self.history:
            seconds += record.seconds
            if target is not None and record.val_error <= target:
                return record.epoch, seconds
        return None

    # ------------------------------------------------------------------------------------------------- training

    @flushed_denormals()
    def run_epoch(self) -> EpochRecord:
        """Train on every image once, then validate.

        Raises:
            Diverged: the loss is not finite. The epoch does not count, and the trainer must not be used again.
        """
        started = time.perf_counter()
        tf32 = self.trial.train.precision == "tf32"
        with _global_generator(self._dropout_state, self.device), fp32_products(tf32):
            train_loss = self._train_on_all()
            self._dropout_state = _global_state(self.device)
        trained = time.perf_counter()
        if not math.isfinite(train_loss):
            raise Diverged(f"the training loss is {train_loss} in epoch {self.epoch + 1}")
        val_error = self.error_on(self.data.validation)
        record = EpochRecord(
            epoch=self.epoch + 1,
            train_loss=train_loss,
            val_error=val_error,
            images_per_second=len(self.data.train) / (trained - started),
            seconds=time.perf_counter() - started,
            timestamp_ms=time.time_ns() // 1_000_000,
        )
        self.history.append(record)
        if val_error < self._best_val_error:
            self._best_val_error, self._best_epoch = val_error, record.epoch
            for name, tensor in self.network.state_dict().items():
                self._best_weights[name].copy_(tensor)
        return record

    def error_on(self, images: ImageTensors) -> float:
        """The share of images that the current weights misclassify, in fp32 for every precision of the training."""
        return error_of(self.network, images)

    def predicted_classes_on(self, images: ImageTensors) -> int:
        """How many different classes the current weights predict, in fp32."""
        return predicted_classes_of(self.network, images)

    @flushed_denormals()
    def load_best(self) -> None:
        """Load the weights of the epoch with the lowest validation error into the network."""
        self.network.load_state_dict(self._best_weights)

    def _train_on_all(self) -> float:
        self.network.train()
        images = self.data.train
        sizes = batch_sizes(len(images), self.trial.train.batch_size, self._least_images)
        order = torch.randperm(len(images), generator=self._streams.order)
        # An epoch waits for an accelerator only once, at its end. So all draws are copied to it before the first step,
        # and the loss is summed on it.
        drawn = self._drawn(torch.split(order, sizes))
        batches = torch.split(order.to(self.device), sizes)
        total = torch.zeros((), device=self.device)
        for step, indices in enumerate(batches):
            with self._autocast():
                logits = self.network(images.batch(indices))
            loss = self._loss(logits.float(), indices, drawn[step])
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step(self._learning_rate(self._progress(step, len(batches))))
            total += loss.detach() * len(indices)
        return float(total) / len(images)

    def _progress(self, step: int, steps: int) -> float:
        """The share of the planned training that is done before a step of the current epoch."""
        return (self.epoch + step / steps) / self.trial.train.epochs

    def _drawn(self, batches: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """The noise of every mini-batch of an epoch, in the order of the steps. None for a training without noise."""
        if self._noise is None:
            return [None] * len(batches)
        of_steps = [
            self._noise.drawn(indices, self._progress(step, len(batches))) for step, indices in enumerate(batches)
        ]
        return torch.split(torch.cat(of_steps).to(self.device), [len(indices) for indices in batches])

    def _loss(self, logits: Tensor, indices: Tensor, drawn: Tensor | None) -> Tensor:
        """The method's loss for one mini-batch."""
        target = None if self._target is None else self._target[indices]
        perturb = None
        if self._noise is not None and drawn is not None:
            perturb = partial(self._noise.applied, drawn=drawn)
        return self._method.loss(Batch(logits, target, perturb, partial(self._labels, indices)))

    def _learning_rate(self, progress: float) -> float:
        """The learning rate. It depends only on `progress`, the share of the training that is done."""
        settings = self.trial.train
        return settings.lr * (1 + math.cos(math.pi * progress)) / 2 if settings.schedule == "cosine" else settings.lr

    def _autocast(self) -> torch.autocast:
        enabled = self.trial.train.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    # --------------------------------------------------------------------------------------------- what is measured

    @property
    def logit_rms(self) -> float | None:
        """The root mean square of the target's logits over all training images and classes. None without a target."""
        return None if self._target is None else root_mean_square(self._target)

    def noise_rms(self) -> float | None:
        """The size of the noise, as `study.distill.noise_size.noise_rms` measures it. None without noise.

        If the noise is on the student's logits, it is measured on the logits that the current weights give for the
        validation images.
        """
        if self._noise is None or self._target is None:
            return None
        sizes = batch_sizes(len(self.data.train), self.trial.train.batch_size, self._least_images)
        own = logits_of(self.network, self.data.validation) if self._method.perturbs_student else None
        return noise_rms(self.trial, self._target, sizes, own)

    def agreement_with(self, teacher: Tensor) -> float:
        """The share of the validation images for which the current weights predict the same class as the teachers.

        Args:
            teacher: the teachers' combined logits for the validation images, (images, classes).
        """
        own = logits_of(self.network, self.data.validation)
        return float((own.argmax(dim=1) == teacher.cpu().argmax(dim=1)).double().mean())

    # ---------------------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on. It has only tensors, numbers and text, so it loads without pickle.

        Tensors are not copied, so save the state before the next epoch.
        """
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "streams": self._streams.state_dict(),
            "dropout": self._dropout_state,
            "best_weights": self._best_weights,
            "best_val_error": self._best_val_error,
            "best_epoch": self._best_epoch,
            "history": [record.model_dump() for record in self.history],
        }

    @flushed_denormals()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state, so that training continues exactly from there. The trainer must have the same arguments."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._streams.load_state_dict(state["streams"])
        self._dropout_state = state["dropout"]
        for name, tensor in state["best_weights"].items():
            self._best_weights[name].copy_(tensor)  # on the device, where a checkpoint's tensors are not
        self._best_val_error = state["best_val_error"]
        self._best_epoch = state["best_epoch"]
        self.history = [EpochRecord.model_validate(record) for record in state["history"]]


def initial_network(trial: TrialConfig, data: TrainingData) -> nn.Module:
    """The trial's network with the initial weights of its seed (PyTorch's default initialisation).

    Dropout has no weights and draws nothing here. So a seed gives the same weights with and without dropout.
    """
    network = zoo.with_dropout(trial.network, trial.dropout) if trial.dropout > 0 else trial.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived(trial.seed, "initial weights"))
        return zoo.build(network, data.input_shape, data.classes)


@flushed_denormals()
@fp32_products()
def error_of(network: nn.Module, images: ImageTensors) -> float:
    """The share of misclassified images, without noise and without dropout, in fp32 as in exported files."""
    network.eval()
    block = EVALUATION_BLOCK_ON_CPU if images.device.type == "cpu" else EVALUATION_BLOCK
    wrong = torch.zeros((), dtype=torch.int64, device=images.device)
    with torch.inference_mode():
        for batch, labels in images.blocks(block):
            wrong += (network(batch).argmax(dim=1) != labels).sum()
    return int(wrong) / len(images)


@flushed_denormals()
@fp32_products()
def predicted_classes_of(network: nn.Module, images: ImageTensors) -> int:
    """How many different classes a network predicts for images, without noise and without dropout.

    A network that predicts one class for every image has collapsed: its loss is finite, but it has learned nothing.
    """
    network.eval()
    block = EVALUATION_BLOCK_ON_CPU if images.device.type == "cpu" else EVALUATION_BLOCK
    with torch.inference_mode():
        predicted = [network(batch).argmax(dim=1) for batch, _ in images.blocks(block)]
    return len(set(torch.cat(predicted).tolist()))


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}


# Dropout modules can draw only from PyTorch's global generators. So a training loads its own state into them before an
# epoch, and saves it afterwards.


def _global_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.random.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


@contextmanager
def _global_generator(state: dict[str, Tensor], device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.random.set_rng_state(state["cpu"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], device)
        yield


def _seeded_global_state(seed: int, device: torch.device) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return _global_state(device)
