"""A trial's end as a file, with what it is the end of and a digest of the content.

Works on reports and paths. Knows nothing of how a trial is trained.
"""

from pathlib import Path

from pydantic import ValidationError

from study.config import Model, TrialConfig
from study.digests import PLACEHOLDER, Damaged, read_checked, with_digest
from study.records import TrialReport
from study.storage import write_whole

RESULT = "result.json"
"""Its name in the trial's folder."""


class StoredResult(Model):
    """A trial's result on the disk, and what it is the result of.

    Attributes:
        digest: of the file; None in a file of an earlier version.
        trial: what was trained.
        report: the end.
        threads: how many threads trained it; None in a file of an earlier version.
    """

    digest: str | None = None
    trial: TrialConfig
    report: TrialReport
    threads: int | None = None


def write_result(file: Path, trial: TrialConfig, report: TrialReport, threads: int) -> None:
    """Store a trial's end, whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written; the message names the file.
    """
    result = StoredResult(digest=PLACEHOLDER, trial=trial, report=report, threads=threads)
    content = with_digest(result.model_dump_json().encode())
    write_whole(file, lambda path: path.write_bytes(content))


def read_result(file: Path) -> StoredResult:
    """What is stored of a trial's end.

    Raises:
        Damaged: the file is not as it was written, or no trial's result.
        OSError: it cannot be read.
    """
    content = read_checked(file)
    try:
        return StoredResult.model_validate_json(content)
    except ValidationError:
        raise Damaged("not a valid result") from None
