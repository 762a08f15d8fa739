"""The one error a user is meant to see.

Knows nothing else: every room raises it, the command line prints it.
"""


class UserError(Exception):
    """Something the user asked for cannot be done.

    The message is one line that says what is wrong, where, and what to do about it. The command line prints it on
    standard error and exits with status 2; in a notebook it is raised as it is.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class StudyFailed(Exception):
    """A study that started and could not be brought to its end (status 1); the message is one line."""


class NothingFound(StudyFailed):
    """A search brought no result, and a resume would bring none either; the message says what to change."""


class Undelivered(StudyFailed):
    """Everything is done but for what the tracking server has not heard; the message says how to deliver it."""


class Interrupted(Exception):
    """A person stopped the study (status 130); the message is one line and says how to go on."""
