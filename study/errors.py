"""The errors that a user is meant to see, as one tree.

    NoisyStudyError
    ├── UserError                  a user mistake: exit status 2
    │   ├── TrackingUnavailable    (also a StudyFailed)
    │   └── StorageFull            (also a StudyFailed)
    ├── StudyFailed                a study, or MLflow under `ui`, started and did not finish: exit status 1
    │   ├── NothingFound           a search has no result
    │   ├── Undelivered            the study finished, but the tracking server does not have everything
    │   ├── TrackingUnavailable    the tracking server does not answer
    │   └── StorageFull            the disk is full
    └── Interrupted                a person stopped it: exit status 130

An unavailable server or a full disk fails a study that has started. A command that only reads, or that has not started
a study yet, ends with status 2 for the same reason. So these two errors are both. Only `TrackingUnavailable` is
retried.

Knows nothing else: every room raises these errors, and the command line prints them.
"""

from study.plain import plain


class NoisyStudyError(Exception):
    """One line that says what is wrong, where, and what to do about it.

    Args:
        mistakes: one line; more than one only where several mistakes of a study file are named at once.
    """

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(plain(" ".join(each.split())) for each in mistakes))


class UserError(NoisyStudyError):
    """Something that the user asked for cannot be done.

    The command line prints the message on standard error and exits with status 2. In a notebook it is raised as it is.
    """


class StudyFailed(NoisyStudyError):
    """A study started and could not finish (status 1)."""


class NothingFound(StudyFailed):
    """A search has no result, and a resume would not bring one. The message says what to change."""


class Undelivered(StudyFailed):
    """Everything is done except that the tracking server does not have all of it. The message says how to send it."""


class TrackingUnavailable(StudyFailed, UserError):
    """The tracking server does not answer. The same request may succeed later, so it can be retried."""


class StorageFull(StudyFailed, UserError):
    """The disk is full, or a quota or size limit of it is reached. A retry fails until there is room."""


class Interrupted(NoisyStudyError):
    """A person stopped the study (status 130). The message says how to resume it."""
