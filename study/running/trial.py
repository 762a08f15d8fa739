"""One trial from its first epoch to its result, also across several processes.

Works on a `TrialConfig`, images and targets in memory, and the trial's own folder. Knows nothing of Ray: the caller
calls `step()` until the report has a summary. A new process resumes from the last checkpoint. If the trial has already
ended, `step()` returns the stored result. One process at a time trains in a folder; another one waits for it. Two
studies may train the same teacher, and a worker may still run for a moment after its study.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from study.config import TrialConfig
from study.data.tensors import shared_tensor
from study.digests import CHANGED, Damaged
from study.distill.captured import DeviceStream
from study.distill.denormals import flushed_denormals
from study.distill.logit_store import LogitStore
from study.distill.processor import recorded_processor
from study.distill.side_by_side import run_epochs
from study.distill.teachers import logits_of
from study.distill.tensor_files import is_damaged, write_tensors
from study.distill.trainer import (
    DistillationTrainer,
    Diverged,
    TrainingData,
)
from study.errors import UserError
from study.locks import file_lock, naming_the_file_system
from study.planning.keys import validation_key
from study.records import EpochRecord, TrainingSummary, TrialReport, summary_without_result
from study.running.checkpoint import read_checkpoint, write_checkpoint
from study.running.given import in_words, read_teacher
from study.running.job import DeviceImages, TrialJob
from study.running.result import RESULT, read_result, write_result
from study.storage import remove_temporary_files

WEIGHTS = "weights.safetensors"

CHECKPOINT_COST = 60
"""A checkpoint is written when the time since the last one is this many times the time that writing it took. Writing
then takes less than 2 % of the training."""

WAIT_SECONDS = 1.0
"""How long a step waits for another process that trains in the trial's folder."""

FloatArray = np.ndarray[Any, np.dtype[np.float32]]


def checkpoints(folder: Path) -> tuple[Path, Path]:
    """A trial's newest checkpoint and the one before it."""
    return folder / "checkpoint.pt", folder / "checkpoint.previous.pt"


def discard_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a trial that has ended."""
    for file in checkpoints(folder):
        file.unlink(missing_ok=True)


@dataclass
class TrialRun:
    """A trial on one device. It holds the folder's lock from the first step until the last one or `close()`."""

    job: TrialJob
    targets: Mapping[str, FloatArray]
    """Combined teacher logits by key, each of shape (training images, classes), float32. Trials share them and must not
    change them. Those for the validation images have the key `validation_key`. If they are missing, no agreement is
    measured."""
    images: DeviceImages
    stream: DeviceStream | None = None
    """The queue of the GPU that runs it, if trials share one; else it has its own."""
    _trainer: DistillationTrainer | None = field(default=None, init=False)
    _unreported: list[EpochRecord] = field(default_factory=list, init=False)
    _messages: list[str] = field(default_factory=list, init=False)
    _waiting: bool = field(default=False, init=False)
    _is_uncaptured: bool = field(default=False, init=False)
    _written_at: float = field(default=0.0, init=False)
    _write_seconds: float = field(default=0.0, init=False)

    def step(self) -> TrialReport:
        """Train one epoch, or read the result that an earlier process stored.

        Returns:
            the report. A trial that fails has the outcome `failed` in it; a disk that cannot be used is `fatal`. The
            report has no epochs while another process trains in the folder.
        """
        trainer = self.begin()
        return trainer if isinstance(trainer, TrialReport) else self.end(run_epochs([trainer])[0])

    def begin(self) -> DistillationTrainer | TrialReport:
        """What is done before an epoch.

        Returns:
            the trainer of the epoch, whose end the caller gives to `end`; or a report, if there is no epoch to train.
        """
        return self._guarded(self._begin)

    def end(self, epoch: EpochRecord | Exception, beside: int = 1) -> TrialReport:
        """What is done after an epoch: a checkpoint, or the end of the trial.

        Args:
            epoch: its record, or why it failed.
            beside: how many trials train in this process. Together they write for as long as one alone may.
        """

        def ended() -> TrialReport:
            if isinstance(epoch, Exception):
                raise epoch
            return self._end(epoch, beside)

        report = self._guarded(ended)
        assert isinstance(report, TrialReport)
        return report

    def keep(self) -> None:
        """Write a checkpoint now, because the process is about to end."""
        if self._trainer is not None and self._trainer.epoch > 0:
            self._write_checkpoint(self._trainer)

    def close(self) -> None:
        """Free the folder's lock, so that another process can resume the trial. Epochs after the last checkpoint are
        lost."""
        self._trainer = None
        self._lock.release()

    @flushed_denormals()
    def _guarded(self, work: Callable[[], DistillationTrainer | TrialReport]) -> DistillationTrainer | TrialReport:
        """What `work` returns, or a report of its error. The folder's lock is free after the last report."""
        report = self._without_errors(work)
        if isinstance(report, TrialReport) and (report.summary is not None or report.fatal is not None):
            self.close()
        return report

    def _without_errors(
        self, work: Callable[[], DistillationTrainer | TrialReport]
    ) -> DistillationTrainer | TrialReport:
        try:
            return work()
        except UserError as error:
            return TrialReport(number=self.job.number, fatal=str(error))
        except OSError as error:
            reason = " ".join(str(error).split())
            return TrialReport(number=self.job.number, fatal=f"{self.job.folder}: cannot train here ({reason})")
        except Diverged as error:
            return self._failure("diverged", str(error))
        except Exception as error:  # noqa: BLE001 - an error of one training must not end the worker
            return self._failure("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def _has_lock(self) -> bool:
        """Take the folder's lock; whether this process has it."""
        if self._lock.is_locked:
            return True
        self.job.folder.mkdir(parents=True, exist_ok=True)
        try:
            with naming_the_file_system(self.job.folder / "lock"):
                self._lock.acquire(timeout=WAIT_SECONDS)
        except Timeout:
            return False
        remove_temporary_files(self.job.folder)
        return True

    def _report_waiting(self) -> TrialReport:
        said = () if self._waiting else (f"{self.job.folder}: another process trains here; waiting for it",)
        self._waiting = True
        return TrialReport(number=self.job.number, messages=said)

    def _begin(self) -> DistillationTrainer | TrialReport:
        if not self._has_lock():
            return self._report_waiting()
        stored = self._stored_result()
        if stored is not None:
            return stored
        if self.job.trial.is_given:
            return self._given_teacher()
        if self._trainer is None:
            self._trainer = self._resumed_trainer()
        return self._finish(self._trainer) if self._trainer.finished else self._trainer

    def _end(self, epoch: EpochRecord, beside: int) -> TrialReport:
        trainer = self._trainer
        assert trainer is not None
        self._unreported.append(epoch)
        if trainer.not_captured is not None and not self._is_uncaptured:
            self._is_uncaptured = True
            self._messages.append(
                f"{self.job.trial.network}: runs without a CUDA graph, which is slower ({trainer.not_captured})"
            )
        if trainer.finished:
            return self._finish(trainer)
        self._checkpoint_if_due(trainer, beside)
        report = TrialReport(number=self.job.number, epochs=tuple(self._unreported), messages=tuple(self._messages))
        self._unreported, self._messages = [], []
        return report

    # -------------------------------------------------------------------------------------------------- the end

    def _finish(self, trainer: DistillationTrainer) -> TrialReport:
        trainer.load_best()
        test_error = predicted_classes = None
        if self.job.trial.sees_test_set:
            test_error = trainer.error_on(self.images.test)
            predicted_classes = trainer.predicted_classes_on(self.images.test)
        if self.job.trial.stage == "teacher":
            self._store_logits(trainer.network)
        epochs_to_target, seconds_to_target = trainer.to_target or (None, None)
        teachers = self.targets.get(validation_key(self.job.target)) if self.job.target is not None else None
        summary = TrainingSummary(
            outcome="completed",
            epochs=trainer.epoch,
            best_val_error=trainer.best_val_error,
            best_epoch=trainer.best_epoch,
            train_seconds=trainer.train_seconds,
            test_error=test_error,
            predicted_classes=predicted_classes,
            epochs_to_target=epochs_to_target,
            seconds_to_target=seconds_to_target,
            logit_rms=trainer.logit_rms,
            noise_rms=trainer.noise_rms(),
            teacher_agreement=None if teachers is None else trainer.agreement_with(shared_tensor(teachers)),
        )
        write_tensors(self.weights_file, trainer.network.state_dict())
        return self._keep(tuple(trainer.history), summary)

    def _given_teacher(self) -> TrialReport:
        """The result of a teacher that is read from a file: it is not trained, only measured."""
        given = read_teacher(self.job.trial, self.images, self._training_data())
        self._keep_logits(given.train, given.validation)
        self._messages.append(in_words(self.job.trial, given.summary))
        return self._keep((), given.summary)

    def _failure(self, outcome: Any, reason: str) -> TrialReport:
        trainer = self._trainer
        history = tuple(trainer.history) if trainer is not None else ()
        summary = summary_without_result(outcome, history, reason)
        try:
            return self._keep(history, summary)
        except UserError as error:
            return TrialReport(number=self.job.number, fatal=str(error))

    def _keep(self, history: tuple[EpochRecord, ...], summary: TrainingSummary) -> TrialReport:
        """Write the result to the disk; only then is it reported."""
        report = TrialReport(number=self.job.number, epochs=history, summary=summary, messages=tuple(self._messages))
        write_result(self.result_file, self.job.trial, report, self.job.threads)
        discard_checkpoints(self.job.folder)
        return report

    def _stored_result(self) -> TrialReport | None:
        """The end that a former process stored, if the files of it are as they were written."""
        if not self.result_file.exists():
            return None
        try:
            stored = read_result(self.result_file)
        except Damaged as error:
            self._again(f"{self.result_file}: {error}; the trial runs again")
            return None
        report = stored.report
        completed = report.summary is not None and report.summary.outcome == "completed"
        if completed and is_damaged(self.weights_file):
            self._again(f"{self.weights_file}: {CHANGED}; the trial runs again")
            return None
        if self.job.trial.stage == "teacher":
            # All studies share the folder of a teacher, which is named by its key. A failed one is trained again,
            # because the reason may be gone.
            failed = report.summary is not None and report.summary.outcome == "failed"
            if not failed and completed and not self._has_logits_or_weights():
                self._again(f"{self.job.folder}: the teacher's weights and logits are gone; it is trained again")
                return None
            return None if failed else report.model_copy(update={"number": self.job.number})
        if stored.trial != self.job.trial:  # the journal was lost, and a new one counts from 0 again
            self._again(f"{self.result_file}: the result of another trial; this trial runs now")
            return None
        return report.model_copy(update={"number": self.job.number})

    def _again(self, message: str) -> None:
        """Say why a stored end is not used, and remove it. Damaged weights stay until new ones replace them, so that
        a resume after a kill still finds that they are damaged."""
        self._messages.append(message)
        self.result_file.unlink()

    def _has_logits_or_weights(self) -> bool:
        """Whether students can learn from a teacher that has ended; its logits can be made from its weights."""
        if self.weights_file.exists() or self.job.trial.is_given or self.job.logit_key is None:
            return True
        return self._logit_store.read(self.job.logit_key, self._train_size, self._classes) is not None

    # ---------------------------------------------------------------------------------------------- checkpoints

    @cached_property
    def _lock(self) -> FileLock:
        return file_lock(self.job.folder / "lock")

    @property
    def result_file(self) -> Path:
        return self.job.folder / RESULT

    @property
    def weights_file(self) -> Path:
        """The weights of the best validation epoch."""
        return self.job.folder / WEIGHTS

    @property
    def _checkpoints(self) -> tuple[Path, Path]:
        return checkpoints(self.job.folder)

    def _checkpoint_if_due(self, trainer: DistillationTrainer, beside: int) -> None:
        since = time.monotonic() - self._written_at
        if not self._written_at or since >= CHECKPOINT_COST * self._write_seconds * beside:
            self._write_checkpoint(trainer)

    def _write_checkpoint(self, trainer: DistillationTrainer) -> None:
        started = time.monotonic()
        newest, previous = self._checkpoints
        with suppress(FileNotFoundError):  # the first one
            newest.replace(previous)
        state = {"trial": self.job.trial.model_dump_json(), "trainer": trainer.state_dict()}
        write_checkpoint(newest, state)
        self._written_at = time.monotonic()
        self._write_seconds = self._written_at - started

    def _resumed_trainer(self) -> DistillationTrainer:
        """A trainer with the state of the newest checkpoint that can be read, or a new trainer."""
        trainer = self._fresh_trainer()
        for file in self._checkpoints:
            if not file.exists():
                continue
            try:
                state = read_checkpoint(file)
                if TrialConfig.model_validate_json(state["trial"]) != self.job.trial:
                    raise ValueError("it belongs to another trial")
                trainer.load_state_dict(state["trainer"])
            except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
                reason = " ".join(str(error).split())[:120]
                self._messages.append(f"{file}: unreadable checkpoint ({reason}); trying an older one")
                file.unlink(missing_ok=True)  # else the next checkpoint written would replace the good one by it
                trainer = self._fresh_trainer()
                continue
            self._unreported = list(trainer.history)
            break
        return trainer

    def _fresh_trainer(self) -> DistillationTrainer:
        target = None if self.job.target is None else shared_tensor(self.targets[self.job.target])
        return DistillationTrainer(
            self.job.trial,
            self._training_data(),
            target,
            self.images.device,
            self._onednn_is_faster,
            stream=self.stream,
        )

    @cached_property
    def _onednn_is_faster(self) -> bool | None:
        """What the study measured on this kind of processor; the first trial on each kind measures it."""
        if self.job.processors is None or self.images.device != "cpu":
            return None
        processor, is_new = recorded_processor(self.job.processors)
        if is_new and processor.slow_bf16 is not None and self.job.trial.train.precision == "bf16":
            self._messages.append(processor.slow_bf16)
        return processor.onednn_is_faster

    # -------------------------------------------------------------------------------------------------- the data

    @property
    def _logit_store(self) -> LogitStore:
        return LogitStore(self.job.logit_store)

    @property
    def _train_size(self) -> int:
        return self.images.dataset.train_size

    @property
    def _classes(self) -> int:
        return self.images.dataset.class_count

    def _store_logits(self, network: torch.nn.Module) -> None:
        if self.job.logit_key is not None:
            self._keep_logits(logits_of(network, self.images.train), logits_of(network, self.images.validation))

    def _keep_logits(self, train: torch.Tensor, validation: torch.Tensor) -> None:
        if self.job.logit_key is None:
            return
        if not bool(train.isfinite().all()):
            raise Diverged("the teacher's logits are not finite numbers")
        self._logit_store.write(self.job.logit_key, train)
        self._logit_store.write(validation_key(self.job.logit_key), validation)

    def _training_data(self) -> TrainingData:
        dataset = self.images.dataset
        return TrainingData(self.images.train, self.images.validation, dataset.input_shape, dataset.class_count)
