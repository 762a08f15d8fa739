"""A table over mixed versions says so."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from support.handwritten import T0, Writer

from study.errors import UserError
from study.results.table import build_table
from study.tracking import schema
from study.tracking.events import StudyStart

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]
Notes = Callable[..., list[str]]
MINUTE = 60_000
BEFORE, LATER, MUCH_LATER = T0 - MINUTE, T0 + 100, T0 + 100 * MINUTE


def started(moment: int, commit: str | None = None, **versions: str) -> StudyStart:
    return StudyStart(timestamp_ms=moment, versions=versions, commit=commit)


@pytest.fixture
def notes(uri: str, client: MlflowClient, new_study: NewStudy) -> Notes:
    """Notes on the versions of a study with these starts, whose trainings ended within a second of T0."""

    def made(*starts: StudyStart, tags: dict[str, str] | None = None, running: bool = False) -> list[str]:
        study = new_study()
        study.trial(0, None if running else 0.1, outcome=None if running else "completed", sigma=0.3, alpha=0.5)
        kept = {f"{schema.START}{start.timestamp_ms}": start.model_dump_json() for start in starts}
        for name, value in {**(tags or {}), **kept}.items():
            client.set_tag(study.parent, name, value)
        return [note for note in build_table(uri, study.name).notes if note.startswith("This study ran under")]

    return made


def test_two_versions_of_a_package_are_named_with_their_starts(notes: Notes) -> None:
    said = notes(
        started(BEFORE, torch="2.14.1", ray="2.60.0"),
        started(LATER, torch="2.14.0", ray="2.60.0"),
        started(LATER + 1, torch="2.14.1", ray="2.60.0"),
    )
    assert said == [
        "This study ran under 2 versions of torch: 2.14.1 (first start, 2023-11-14 22:12 UTC), 2.14.0 (resume of "
        "2023-11-14 22:13 UTC)."
    ]


def test_two_commits_are_named(notes: Notes) -> None:
    (said,) = notes(started(BEFORE, "a" * 40, torch="2"), started(LATER, "a" * 40 + "-dirty", torch="2"))
    assert said.startswith(f"This study ran under 2 commits of its code: {'a' * 12} (first start, ")
    assert f"{'a' * 12}-dirty (resume of " in said


@pytest.mark.parametrize("versions", [{}, {"torch": "2.14.1"}])
def test_one_version_is_not_worth_a_note(notes: Notes, versions: dict[str, Any]) -> None:
    assert notes(started(BEFORE, "a" * 40, **versions), started(LATER, "a" * 40, **versions)) == []


def test_a_study_that_does_not_say_its_versions_has_no_note(notes: Notes) -> None:
    assert notes() == []


def test_a_resume_that_trained_nothing_mixes_nothing(notes: Notes) -> None:
    assert notes(started(BEFORE, torch="2.14.1"), started(MUCH_LATER, torch="2.14.0")) == []


def test_a_resume_whose_training_has_not_ended_counts(notes: Notes) -> None:
    assert notes(started(BEFORE, torch="2.14.1"), started(MUCH_LATER, torch="2.14.0"), running=True)


def test_first_versions_are_known_for_old_studies(notes: Notes) -> None:
    """A study from before its starts were recorded has the versions of its first start."""
    first = {f"{schema.VERSION}torch": "2.14.1", schema.COMMIT: "a" * 40}
    (said,) = notes(started(LATER, "a" * 40, torch="2.14.0"), tags=first)
    assert said.startswith("This study ran under 2 versions of torch: 2.14.1 (first start), 2.14.0 (resume of ")


def test_a_start_that_cannot_be_read_is_named(notes: Notes) -> None:
    with pytest.raises(UserError, match=r"parent run: tag `noisy_study\.start\.7` is `yesterday`, not a start"):
        notes(tags={f"{schema.START}7": "yesterday"})
