"""The tree of errors, as it is drawn, and the exit status of each."""

import re

import pytest

from study import errors
from study.errors import NoisyStudyError, StorageFull, StudyFailed, TrackingUnavailable, Undelivered, UserError

TYPES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, NoisyStudyError)]


def test_the_drawing_has_every_error() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"── (\w+)", errors.__doc__)) | {"NoisyStudyError"}
    assert drawn == {each.__name__ for each in TYPES}


@pytest.mark.parametrize("kind", TYPES)
def test_a_message_is_one_line(kind: type[NoisyStudyError]) -> None:
    assert str(kind("one\n  two")) == "one two"


@pytest.mark.parametrize("kind", [TrackingUnavailable, StorageFull])
def test_what_may_be_over_later_fails_a_study(kind: type[NoisyStudyError]) -> None:
    """Before a study has started it is the answer to a command, as every user mistake is."""
    assert issubclass(kind, StudyFailed)
    assert issubclass(kind, UserError)


def test_undelivered_is_no_mistake_of_the_user() -> None:
    assert issubclass(Undelivered, StudyFailed)
    assert not issubclass(Undelivered, UserError)
