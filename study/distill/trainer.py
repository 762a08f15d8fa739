"""The trainer: it trains one network, one epoch with each call. One dictionary has its whole state.

Works on images in memory, a target of logits and a `TrialConfig`. It trains students (from logits, noisy or not) and
teachers (from labels). Knows nothing of its caller, of checkpoint files or of where metrics are written. It uses the
test set only if the caller passes it.
"""

import math
import time
from collections.abc import Callable, Iterator
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
from study.distill.captured import CapturedStep, DeviceStream
from study.distill.denormals import flushed_denormals
from study.distill.epoch import EpochSteps
from study.distill.evaluation import error_of, predicted_classes_of
from study.distill.global_generator import GlobalGenerator
from study.distill.label_noise import with_random_labels
from study.distill.noise_size import noise_rms, perturbation_of, root_mean_square
from study.distill.optimizers import Optimizer
from study.distill.precision import fp32_products
from study.distill.processor import measured_processor
from study.distill.streams import Streams, derived
from study.distill.teachers import logits_of
from study.methods.base import Batch
from study.records import EpochRecord

WARM_UP_STEPS = 3
"""After so many steps of a trainer on a GPU, the step is captured."""


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
        captures: whether the training step is captured in a CUDA graph. It has no effect on a CPU.
        stream: the queue of the GPU that runs the training; None: one of its own.

    Attributes:
        dropout: the states of PyTorch's global generators for this training.
        may_draw: whether the network may draw from the global generators.
        not_captured: why the step could not be captured, so that it runs uncaptured; None if it could, and on a CPU.

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
        *,
        captures: bool = True,
        stream: DeviceStream | None = None,
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
        # Every other module of the zoo draws nothing in a forward pass.
        drops = any(type(part).__name__.endswith("Dropout") for part in self.network.modules())
        self.may_draw = drops or is_own(trial.network) or trial.network.startswith("torchvision:")
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
        self._total = torch.zeros((), device=self.device)
        self._stream = DeviceStream(self.device) if stream is None else stream
        self._captures, self._plain_steps = captures, 0
        self._captured: CapturedStep | None = None
        self.not_captured: str | None = None
        self.dropout = GlobalGenerator(derived(trial.seed, "dropout"), self.device)
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
        with self.dropout.lent():
            for _ in self.steps():
                pass
        return self.end_epoch()

    def steps(self) -> Iterator[None]:
        """Train on every image once: one step for each item. On a GPU, an item means that its step is queued there.

        The caller ends the epoch with `end_epoch`. Trainings side by side take turns (`study.distill.side_by_side`).
        """
        self._started = time.perf_counter()
        self.network.train()
        with self._stream.used():
            epoch = self._drawn_epoch()
            self._total.zero_()
            if self._captured is not None:
                self._captured.begin(epoch)
        for step, size in enumerate(epoch.sizes):
            with self._stream.used_without_waiting():
                if self._captured is not None and size == epoch.sizes[0]:
                    self._captured.replay()
                else:
                    with fp32_products(self.trial.train.precision == "tf32"):
                        self._step(*epoch.inputs[step])
                        self._capture_if_warm(epoch, step + 1)
            yield

    def end_epoch(self, beside: int = 1) -> EpochRecord:
        """Wait for the steps of the epoch, and validate.

        Args:
            beside: how many trainings shared the device, this one included. Each has its share of the seconds.

        Raises:
            Diverged: the loss is not finite. The epoch does not count, and the trainer must not be used again.
        """
        with self._stream.used():
            train_loss = float(self._total) / len(self.data.train)
            trained = time.perf_counter()
            if not math.isfinite(train_loss):
                raise Diverged(f"the training loss is {train_loss} in epoch {self.epoch + 1}")
            val_error = self.error_on(self.data.validation)
        record = EpochRecord(
            epoch=self.epoch + 1,
            train_loss=train_loss,
            val_error=val_error,
            images_per_second=len(self.data.train) / (trained - self._started),
            seconds=(time.perf_counter() - self._started) / beside,
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

    def _drawn_epoch(self) -> EpochSteps:
        """Draw everything that the steps of the next epoch take, and copy it to the device."""
        images, settings = self.data.train, self.trial.train
        sizes = batch_sizes(len(images), settings.batch_size, self._least_images)
        order = torch.randperm(len(images), generator=self._streams.order)
        progress = [(self.epoch + step / len(sizes)) / settings.epochs for step in range(len(sizes))]
        noise = None
        if self._noise is not None:
            batches = zip(torch.split(order, sizes), progress, strict=True)
            noise = torch.cat([self._noise.drawn(indices, done) for indices, done in batches])
        rates = [self._learning_rate(done) for done in progress]
        return EpochSteps.on(self.device, sizes, order, noise, rates)

    def _step(self, indices: Tensor, drawn: Tensor | None, rate: Tensor | float) -> None:
        """Train on one mini-batch. Nothing here waits for the device."""
        with self._autocast():
            logits = self.network(self.data.train.batch(indices))
        loss = self._loss(logits.float(), indices, drawn)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step(rate)
        self._total += loss.detach() * len(indices)

    def _capture_if_warm(self, epoch: EpochSteps, step: int) -> None:
        """Capture the step after the first ones of this trainer, which prepare PyTorch's libraries."""
        self._plain_steps += 1
        if self._captures and self._plain_steps >= WARM_UP_STEPS and self._stream.is_real:
            try:
                self._captured = CapturedStep(self._step, epoch, step, self._stream)
            except RuntimeError as error:
                self.not_captured = " ".join(str(error).split())[:200]
                self._captures = False

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
            "dropout": self.dropout.state,
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
        self.dropout.state = state["dropout"]
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


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}
