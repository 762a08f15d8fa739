"""Runs that have ended, and the parent run, as a study's folder and journal keep them.

Works on plain data and one file. Knows nothing of MLflow. A tracking server that lost something gets
it again from here.
"""

from pathlib import Path

from pydantic import ValidationError

from study.config import Model
from study.records import EpochRecord
from study.storage import write_whole
from study.tracking import schema
from study.tracking.events import (
    EpochsPassed,
    Event,
    RunBegan,
    RunEnded,
    StudyBegan,
    StudyEnded,
    StudyExtended,
    StudyParams,
    StudyStart,
    StudyTags,
)


class EndedRun(Model):
    """One run that has ended, as the journal keeps it.

    Attributes:
        began: how it began, with its parameters.
        ended: how it ended.
        epochs: its epochs, where no file has them.
        result: the file with its epochs, below the folder of all studies; None where there is none.
    """

    began: RunBegan
    ended: RunEnded
    epochs: tuple[EpochRecord, ...] = ()
    result: str | None = None

    def events(self, epochs: tuple[EpochRecord, ...]) -> list[Event]:
        """What the tracking server must get to have this run.

        Args:
            epochs: all that are known. If some are missing, the end is written all the same.
        """
        passed = [EpochsPassed(trial_id=self.began.trial_id, epochs=epochs)] if epochs else []
        return [self.began, *passed, self.ended.model_copy(update={"params": None})]


class ParentRecord(Model):
    """The parent run as it was tracked.

    Attributes:
        began: its study file, parameters, tags and data sets.
        starts: every start and resume.
        extensions: every extension.
        ended: how the study ended; None while it runs.
    """

    began: StudyBegan
    starts: tuple[StudyStart, ...] = ()
    extensions: tuple[StudyExtended, ...] = ()
    ended: StudyEnded | None = None

    def events(self) -> list[Event]:
        """What the tracking server must get to have the parent run."""
        began = [self.began.model_copy(update={"start": start}) for start in self.starts]
        ended = [self.ended] if self.ended is not None else []
        return [*(began or [self.began]), *self.extensions, *ended]

    def after(self, event: StudyBegan | StudyExtended | StudyTags | StudyParams | StudyEnded) -> "ParentRecord":
        """The record with one event more."""
        if isinstance(event, StudyEnded):
            return self.model_copy(update={"ended": event})
        if isinstance(event, StudyExtended):
            known = {each.extension.timestamp_ms: each for each in (*self.extensions, event)}
            began = self.began.model_copy(update={"study_file": event.study_file})
            return self.model_copy(update={"began": began, "extensions": tuple(known.values())})
        if isinstance(event, StudyTags):
            began = self.began.model_copy(update={"tags": {**self.began.tags, **event.tags}})
            return self.model_copy(update={"began": began})
        grown = {name: value for name, value in event.params.items() if name in schema.GROWING}
        began = self.began.model_copy(update={"params": {**event.params, **self.began.params, **grown}})
        if isinstance(event, StudyParams):
            return self.model_copy(update={"began": began})
        starts = (*self.starts, *((event.start,) if event.start is not None else ()))
        return ParentRecord(began=began, starts=starts, extensions=self.extensions)


def read_parent(file: Path) -> ParentRecord | None:
    """The record of a study; None where there is none, or the file is damaged: the next start writes it again."""
    try:
        return ParentRecord.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def keep_parent(file: Path, event: Event) -> None:
    """Write down what an event says of the parent run.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    if not isinstance(event, StudyBegan | StudyExtended | StudyTags | StudyParams | StudyEnded):
        return
    record = read_parent(file)
    if record is not None:
        record = record.after(event)
    elif isinstance(event, StudyBegan):
        record = ParentRecord(began=event, starts=(event.start,) if event.start is not None else ())
    else:
        return
    content = record.model_dump_json()
    write_whole(file, lambda path: path.write_text(content, encoding="utf-8"))
