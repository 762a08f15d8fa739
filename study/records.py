"""What a training reports: its epochs, and how it ended.

Plain data that crosses processes as JSON. Knows nothing of how a network is trained or where a report is kept.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from study.config import Model, Outcome

Error = Annotated[float, Field(ge=0, le=1)]
"""Share of misclassified images."""


class EpochRecord(Model):
    """One epoch of one training."""

    epoch: int = Field(ge=1)
    train_loss: float
    val_error: Error
    images_per_second: float = Field(description="training images per second of training, validation left out")
    seconds: float = Field(description="the whole epoch, validation included")
    timestamp_ms: int = Field(description="when the epoch ended, Unix time in milliseconds")


class TrainingSummary(Model):
    """How a training ended."""

    outcome: Outcome
    epochs: int
    best_val_error: Error | None = None
    best_epoch: int | None = None
    train_seconds: float
    test_error: Error | None = Field(
        None, description="by the best epoch's weights; None where the test set is not seen"
    )
    predicted_classes: int | None = Field(
        None, ge=1, description="different classes predicted for the test images; None where the test set is not seen"
    )
    epochs_to_target: int | None = Field(None, description="until `target_error` was reached; None where it never was")
    seconds_to_target: float | None = Field(None, description="the same in seconds, validation included")
    logit_rms: float | None = Field(
        None, ge=0, description="root mean square of the teachers' combined logits for the training images"
    )
    noise_rms: float | None = Field(None, ge=0, description="root mean square of the perturbation of a logit")
    teacher_agreement: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of validation images on which student and teachers choose the same class"
    )
    reason: str | None = Field(None, description="one line, where the outcome is failed or diverged")
    repeats: str | None = Field(
        None, description="id of the trial that was the same training: its result was taken and nothing was trained"
    )


def summary_without_result(outcome: Outcome, history: Sequence[EpochRecord], reason: str | None) -> TrainingSummary:
    """The end of a training that did not come to its result: pruned, diverged or failed."""
    best = min(history, key=lambda record: (record.val_error, record.epoch), default=None)
    return TrainingSummary(
        outcome=outcome,
        epochs=len(history),
        best_val_error=best.val_error if best else None,
        best_epoch=best.epoch if best else None,
        train_seconds=sum(record.seconds for record in history),
        reason=reason,
    )


class TrialReport(Model):
    """The report of a trial after a step: the epochs since its last report, and its result if it has ended.

    After a recovery the epochs start again from 1, so the same epoch may be reported twice.
    """

    number: int = Field(description="the trial's number in its stage")
    epochs: tuple[EpochRecord, ...] = ()
    summary: TrainingSummary | None = None
    fatal: str | None = Field(None, description="why no trial can train here (a full disk); the trial has not ended")
    messages: tuple[str, ...] = Field((), description="for the user, one line each")
