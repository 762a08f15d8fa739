"""What there is to track, as plain data: a study began, a run began, epochs passed, a run ended, the study ended.

Works on names and numbers. Knows nothing of MLflow: an event can wait on disk, and be applied twice without harm.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from study.config import Model, Role
from study.records import EpochRecord, TrainingSummary
from study.stages import Stage
from study.tracking.schema import Kind

StudyStatus = Literal["FINISHED", "FAILED", "KILLED"]
"""MLflow's words for a study that is done, one that failed, and one that was interrupted and can be resumed."""


class DatasetUsed(Model):
    """Images that a study uses, as MLflow describes a dataset."""

    name: str
    digest: str = Field(max_length=36)
    context: Literal["training", "validation", "testing"]
    source: str = Field(description="where it comes from, JSON")
    shape: tuple[int, ...] = Field(description="of all its images, (N, C, H, W)")
    dtype: str
    classes: int


class StudyStart(Model):
    """A start or resume of a study: when, and what it runs under. Its time identifies it."""

    timestamp_ms: int
    versions: dict[str, str] = Field(description="by package")
    commit: str | None = None


class StudyBegan(Model):
    """The parent run exists from now on, or runs again."""

    event: Literal["study began"] = "study began"
    study_file: str
    params: dict[str, str]
    tags: dict[str, str]
    datasets: tuple[DatasetUsed, ...] = ()
    start: StudyStart | None = None


class StudyParams(Model):
    """More parameters of the parent run; those it has already stay as they are."""

    event: Literal["study params"] = "study params"
    params: dict[str, str]


class MachineMeasured(Model):
    """How busy the machine was that the study runs from: means since the last time, by MLflow's names."""

    event: Literal["machine"] = "machine"
    metrics: dict[str, float]
    timestamp_ms: int


class StudyEnded(Model):
    """The parent run is over, until a resume."""

    event: Literal["study ended"] = "study ended"
    status: StudyStatus
    timestamp_ms: int


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


Event = StudyBegan | StudyParams | MachineMeasured | StudyEnded | RunBegan | EpochsPassed | RunEnded

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(text: str) -> Event:
    """The event that `model_dump_json` wrote.

    Raises:
        ValidationError: it is none.
    """
    return _EVENT.validate_json(text)


def now_ms() -> int:
    """Unix time in milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)
