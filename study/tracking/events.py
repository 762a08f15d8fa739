"""What there is to track, as plain data: a run began, epochs passed, a run ended.

Works on names and numbers. Knows nothing of MLflow: an event can wait on disk, and be applied twice without harm.
"""

from typing import Literal

from study.config import Model, Role, Stage
from study.records import EpochRecord, TrainingSummary
from study.tracking.schema import Kind


class RunBegan(Model):
    """A trial or teacher run exists from now on (or goes on: the same trial begins again after an interruption)."""

    event: Literal["began"] = "began"
    trial_id: str
    kind: Kind
    role: Role
    stage: Stage
    name: str
    params: dict[str, str]
    timestamp_ms: int


class EpochsPassed(Model):
    """Epochs of a run, in order; those already tracked may be among them."""

    event: Literal["epochs"] = "epochs"
    trial_id: str
    epochs: tuple[EpochRecord, ...]


class RunEnded(Model):
    """A run is over."""

    event: Literal["ended"] = "ended"
    trial_id: str
    summary: TrainingSummary
    timestamp_ms: int


Event = RunBegan | EpochsPassed | RunEnded
