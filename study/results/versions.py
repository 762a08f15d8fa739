"""The package versions and the code of a study's starts and resumes.

Works on the tags of the parent run and on the times at which its trainings ended. Returns sentences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from study.errors import UserError
from study.results import frames
from study.results.read import TrackedStudy
from study.results.wording import some
from study.tracking import schema
from study.tracking.events import StudyStart

CODE = "its code"
_SHOWN_OF_A_COMMIT = 12


@dataclass(frozen=True)
class Start:
    """A start or resume.

    Attributes:
        timestamp_ms: Unix time; None if only the versions are known.
        versions: by package, and the commit under `CODE`.
    """

    timestamp_ms: int | None
    versions: Mapping[str, str]


def starts_of(tracked: TrackedStudy) -> list[Start]:
    """The starts of a study that trained something, in order. Empty if its runs do not have them.

    A resume of a finished study is left out, because no training ended after it.

    Raises:
        UserError: a tag cannot be read.
    """
    read = [
        _read(tracked.name, name, content) for name, content in tracked.tags.items() if name.startswith(schema.START)
    ]
    read.sort(key=lambda start: start.timestamp_ms)
    found = [Start(start.timestamp_ms, _with_code(start.versions, start.commit)) for start in read]
    first = _with_code(
        {
            name.removeprefix(schema.VERSION): number
            for name, number in tracked.tags.items()
            if name.startswith(schema.VERSION)
        },
        tracked.tags.get(schema.COMMIT),
    )
    if first and (not found or any(found[0].versions.get(name, number) != number for name, number in first.items())):
        found.insert(0, Start(None, first))  # the study was started by a version that did not store starts
    last = _last_end(tracked)
    return [start for place, start in enumerate(found) if place == 0 or (start.timestamp_ms or 0) <= last]


def version_notes(tracked: TrackedStudy) -> list[str]:
    """One note for each package, and for the code, if it was not the same in all starts."""
    starts = starts_of(tracked)
    notes = []
    for name in dict.fromkeys(name for start in starts for name in start.versions):
        if len(versions := _first_of_each(starts, name)) > 1:
            noun = "commits" if name == CODE else "versions"
            listed = [f"{number} ({when})" for number, when in versions.items()]
            notes.append(f"This study ran under {len(versions)} {noun} of {name}: {some(listed)}.")
    return notes


def _read(study: str, tag: str, content: str) -> StudyStart:
    try:
        return StudyStart.model_validate_json(content)
    except ValidationError:
        raise UserError(
            f"study {study}, parent run: tag `{tag}` is `{content[:60]}`, not a start; correct or delete it"
        ) from None


def _first_of_each(starts: Sequence[Start], name: str) -> dict[str, str]:
    """Every different version of a package, and the first start with it."""
    found: dict[str, str] = {}
    for place, start in enumerate(starts):
        if name in start.versions:
            found.setdefault(start.versions[name], _moment(place, start))
    return found


def _moment(place: int, start: Start) -> str:
    if start.timestamp_ms is None:
        return "first start"
    moment = datetime.fromtimestamp(start.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"first start, {moment}" if place == 0 else f"resume of {moment}"


def _with_code(versions: Mapping[str, str], commit: str | None) -> dict[str, str]:
    if commit is None:
        return dict(versions)
    short = commit.removesuffix(schema.DIRTY)
    return {**versions, CODE: short[:_SHOWN_OF_A_COMMIT] + commit[len(short) :]}


def _last_end(tracked: TrackedStudy) -> float:
    """The end of the last training, Unix time in milliseconds. Infinite if a training has not ended."""
    ends = [frames.number(runs, "end_time") for runs in (tracked.trials, tracked.teachers)]
    if any(of_kind.isna().any() for of_kind in ends):
        return math.inf
    return max((float(of_kind.max()) for of_kind in ends if len(of_kind)), default=math.inf)
