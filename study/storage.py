"""Files that are written whole or not at all, and where a study keeps them.

Works on bytes and paths. Knows nothing of what is in a file.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from study.errors import UserError

DEFAULT_ROOT = Path(".noisy-study")
"""Where studies, teachers and logits lie unless told otherwise: beside `mlflow.db`, in the working folder."""


_TEMPORARY = ".tmp"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file beside `path`, bring it to the disk, and put it in `path`'s place.

    A reader sees the old content or the new, a crash leaves the old. `write` uses Python's own files, whose errors
    say what is wrong with the disk (PyTorch and safetensors hide that when they write a file themselves).

    Raises:
        UserError: the disk is full or the folder cannot be written; the message names the path.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; make room or choose another place") from None
    finally:
        with suppress(OSError):  # it was moved, or never came to be
            temporary.unlink()


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; only for whoever alone writes to it."""
    for left in folder.glob(f".*{_TEMPORARY}"):
        left.unlink(missing_ok=True)


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study: its resolved study file, its journal and a folder per trial."""

    root: Path
    name: str

    @property
    def path(self) -> Path:
        return self.root / "studies" / self.name

    @property
    def study_file(self) -> Path:
        return self.path / "study.yaml"

    @property
    def own_journal(self) -> str:
        """Address of the Optuna storage that a study has to itself: which trials there are and how they ended."""
        return f"sqlite:///{self.path / 'journal.db'}"

    @property
    def outbox(self) -> Path:
        """What the tracking server is still to hear."""
        return self.path / "outbox.db"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def _tracking_file(self) -> Path:
        return self.path / "tracking-uri"

    def trial(self, trial_id: str) -> Path:
        return self.path / "trials" / trial_id

    @property
    def _journal_file(self) -> Path:
        return self.path / "journal-url"

    @property
    def _digest_file(self) -> Path:
        return self.path / "data-digest"

    def exists(self) -> bool:
        return self.study_file.exists()

    def claim(self, study_file: str, tracking_uri: str, journal: str, data_digest: str) -> None:
        """Make the study exist: its resolved study file, its images, and where it is tracked and has its journal (both
        without credentials)."""
        write_whole(self._journal_file, lambda path: path.write_text(journal, encoding="utf-8"))
        write_whole(self._digest_file, lambda path: path.write_text(data_digest, encoding="utf-8"))
        write_whole(self._tracking_file, lambda path: path.write_text(tracking_uri, encoding="utf-8"))
        write_whole(self.study_file, lambda path: path.write_text(study_file, encoding="utf-8"))

    def tracking_uri(self) -> str | None:
        """Where the study was tracked when it began; None for a study that is not here."""
        return self._tracking_file.read_text(encoding="utf-8") if self._tracking_file.exists() else None

    def journal(self) -> str | None:
        """Where the study's journal was when it began; None for a study that is not here."""
        return self._journal_file.read_text(encoding="utf-8") if self._journal_file.exists() else None

    def data_digest(self) -> str | None:
        """SHA-256 of the images the study began with; None for a study that is not here."""
        return self._digest_file.read_text(encoding="utf-8") if self._digest_file.exists() else None
