"""Files that are written whole or not at all, and where a study keeps them.

Works on bytes and paths. Knows nothing of what is in a file.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from study.config import NAME_PATTERN
from study.errors import UserError

DEFAULT_ROOT = Path(os.environ.get("NOISY_STUDY_ROOT") or ".noisy-study")
"""Where studies, teachers and logits lie unless told otherwise: where the environment says, which on a cluster is a
folder that every node sees; else beside `mlflow.db`, in the working folder."""


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


def can_be_study_name(name: str) -> bool:
    """Whether a study may be called so; another name could lead out of the folder of all studies."""
    return re.fullmatch(NAME_PATTERN, name) is not None


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; only for whoever alone writes to it."""
    for left in folder.glob(f".*{_TEMPORARY}"):
        left.unlink(missing_ok=True)


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study: its resolved study file, its journal and a folder per trial.

    Raises:
        UserError: no study can have that name.
    """

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not can_be_study_name(self.name):
            raise UserError(
                f"no study can be named {self.name[:100]!r}: a name is letters, digits, `.`, `_` and `-`, begins with "
                "a letter or digit and has at most 100 of them"
            )
        if re.match(r"[a-z][a-z0-9]+:/", str(self.root)):
            raise UserError(
                f"NOISY_STUDY_ROOT {self.root}: studies lie in a folder that every node mounts, not at an address "
                "(artifacts may lie at s3://..., which is the tracking server's business)"
            )

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

    @property
    def _weights_file(self) -> Path:
        return self.path / "weights-digests.json"

    def exists(self) -> bool:
        return self.study_file.exists()

    def claim(
        self, study_file: str, tracking_uri: str, journal: str, data_digest: str, weights: Mapping[str, str]
    ) -> None:
        """Make the study exist: its resolved study file, digests of its images and of the weights files it names, and
        where it is tracked and has its journal (both without credentials)."""
        written = json.dumps(dict(weights), indent=2)
        write_whole(self._weights_file, lambda path: path.write_text(written, encoding="utf-8"))
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

    def weights_digests(self) -> dict[str, str]:
        """SHA-256 of every weights file the study began with, by its name in the study file."""
        if not self._weights_file.exists():
            return {}
        digests: dict[str, str] = json.loads(self._weights_file.read_text(encoding="utf-8"))
        return digests
