"""The events that are tracked, as plain data: a study began or was extended, a run began, epochs passed, a run ended,
the study ended.

Works on names and numbers. Knows nothing of MLflow. An event can wait on disk, and applying it twice changes nothing.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from study.config import Model, Role
from study.records import EpochRecord, TrainingSummary
from study.stages import Stage
from study.storage import Extension
from study.tracking.schema import Kind

StudyStatus = Literal["FINISHED", "FAILED", "KILLED"]
"""MLflow's statuses for a study that finished, one that failed, and one that was interrupted and can be resumed."""


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
    """A start or resume of a study: its time, and the versions of the packages. The time identifies it."""

    timestamp_ms: int
    versions: dict[str, str] = Field(description="by package")
    commit: str | None = None


class StudyBegan(Model):
    """A study started or was resumed: its parent run is created, or has the status RUNNING again."""

    event: Literal["study began"] = "study began"
    study_file: str
    params: dict[str, str]
    tags: dict[str, str]
    datasets: tuple[DatasetUsed, ...] = ()
    start: StudyStart | None = None


class StudyExtended(Model):
    """A study was extended: its parent run gets a tag, and the study file as it is now."""

    event: Literal["study extended"] = "study extended"
    study_file: str
    extension: Extension


class StudyTags(Model):
    """Tags of the parent run; later values replace earlier ones."""

    event: Literal["study tags"] = "study tags"
    tags: dict[str, str]


class StudyParams(Model):
    """More parameters of the parent run. Of those that it already has, only `schema.GROWING` may change."""

    event: Literal["study params"] = "study params"
    params: dict[str, str]


class MachineMeasured(Model):
    """How busy the driver's machine was: means since the last event, by MLflow's names."""

    event: Literal["machine"] = "machine"
    metrics: dict[str, float]
    timestamp_ms: int


class StudyEnded(Model):
    """A study ended. A resume may start it again."""

    event: Literal["study ended"] = "study ended"
    status: StudyStatus
    timestamp_ms: int


class RunBegan(Model):
    """The run of a trial or teacher begins. After an interruption the same trial begins again, in the same run."""

    event: Literal["began"] = "began"
    trial_id: str
    kind: Kind
    role: Role
    stage: Stage
    name: str
    params: dict[str, str]
    timestamp_ms: int


class EpochsPassed(Model):
    """Epochs of a run, in order. Some of them may be tracked already."""

    event: Literal["epochs"] = "epochs"
    trial_id: str
    epochs: tuple[EpochRecord, ...]


class RunEnded(Model):
    """A run ended."""

    event: Literal["ended"] = "ended"
    trial_id: str
    summary: TrainingSummary
    timestamp_ms: int
    params: dict[str, str] | None = Field(
        None,
        description="of its run: the end is written only to a run that has these parameters and all its epochs. "
        "None: it is written to any",
    )


Event = (
    StudyBegan
    | StudyExtended
    | StudyTags
    | StudyParams
    | MachineMeasured
    | StudyEnded
    | RunBegan
    | EpochsPassed
    | RunEnded
)

WritesRows = RunBegan | EpochsPassed | RunEnded | MachineMeasured
"""Events that change rows of the tracking server, and no files: an attempt that failed can be repeated as a whole."""

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(text: str | bytes) -> Event:
    """The event that `model_dump_json` wrote.

    Raises:
        ValidationError: the text is not an event.
    """
    return _EVENT.validate_json(text)


def now_ms() -> int:
    """Unix time in milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)
