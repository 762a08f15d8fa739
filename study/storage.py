"""Files that are written whole or not at all, and where a study keeps them.

Works on bytes and paths. Knows nothing of what is in a file.
"""

import errno
import json
import os
import platform
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from study.config import NAME_PATTERN, FixedSeeds, Model, StudyConfig, parse_study
from study.environment import study_root
from study.errors import StorageFull, UserError

DEFAULT_ROOT = study_root()
"""The default folder of studies, teachers and logits. On a cluster it must be a folder that every node sees."""


_TEMPORARY = ".tmp"

LOCK = "lock"
"""Name of the file that the process locks that runs a study."""


def make_root(root: Path) -> None:
    """Make the folder of studies, teachers and logits, for its owner alone: it holds results.

    A folder that is there keeps its mode, so that a group can share a folder that it made. Files in it follow the
    umask.
    """
    with suppress(FileExistsError):
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file beside `path`, bring it to the disk, and put it in `path`'s place.

    A reader sees the old content or the new, a crash leaves the old. `write` uses Python's own files, whose errors
    say what is wrong with the disk (PyTorch and safetensors hide that when they write a file themselves).

    Raises:
        StorageFull: the disk is full; the message names the path.
        UserError: the folder cannot be written; the message names the path.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from None
    finally:
        with suppress(OSError):  # it was moved, or never came to be
            temporary.unlink()


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _cannot_write(path: Path, error: OSError) -> UserError:
    kind = StorageFull if error.errno in _FULL else UserError
    return kind(f"cannot write {path}: {error.strerror or error}; free some space or choose another folder")


def write_once(path: Path, write: Callable[[Path], object]) -> bool:
    """As `write_whole`, but an existing file stays: of several processes that write at the same time, one succeeds.

    Returns:
        whether this call wrote the file.

    Raises:
        StorageFull, UserError: as `write_whole`.
    """
    mine = path.with_name(f".{path.name}.{secrets.token_hex(4)}.once{_TEMPORARY}")
    write_whole(mine, write)
    try:
        os.link(mine, path)  # fails where there is something, which a rename would replace
    except FileExistsError:
        return False
    except OSError as error:
        raise _cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            mine.unlink()
    return True


def can_be_study_name(name: str) -> bool:
    """Whether a study may be called so; another name could lead out of the folder of all studies."""
    return re.fullmatch(NAME_PATTERN, name) is not None


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder. No other process may write to it."""
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
                f"NOISY_STUDY_ROOT {self.root}: expected a folder that every node mounts, not an address (only the "
                "tracking server's artifacts may be at an address such as s3://...)"
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

    def may_own(self, journal: str) -> bool:
        """Whether an address is that of a study's own journal, in this folder or where the folder lay before."""
        return journal.startswith("sqlite:") and journal.endswith(f"studies/{self.name}/journal.db")

    @property
    def outbox(self) -> Path:
        """The events that the tracking server does not have yet."""
        return self.path / "outbox.db"

    @property
    def parent_record(self) -> Path:
        """What was tracked of the study's parent run, for a tracking server that lost it."""
        return self.path / "parent.json"

    @property
    def lock(self) -> Path:
        return self.path / LOCK

    @property
    def place(self) -> str:
        """This machine and this folder."""
        return f"{platform.node()}:{self.path.resolve()}"

    def trial(self, trial_id: str) -> Path:
        return self.path / "trials" / trial_id

    @property
    def processors(self) -> Path:
        """What was measured of the processors that the study trains on, a file for each kind."""
        return self.path / "processors"

    @property
    def code(self) -> Path:
        """Copies of the user's own code that the study file names, as it was when the study started."""
        return (self.path / "code").absolute()

    @property
    def _start_file(self) -> Path:
        return self.path / "start.json"

    def exists(self) -> bool:
        return self.study_file.exists()

    def claim(self, record: "StartRecord") -> None:
        """Make the study exist: what it starts with, and then its resolved study file."""
        written = record.model_dump_json(indent=2)
        write_whole(self._start_file, lambda path: path.write_text(written, encoding="utf-8"))
        write_whole(self.study_file, lambda path: path.write_text(record.study_file, encoding="utf-8"))

    def unclaim(self) -> None:
        """Make a study that was claimed and has done nothing not exist again."""
        self.study_file.unlink(missing_ok=True)

    def new_ownership(self) -> "Ownership":
        """Of a study that starts in this folder for the first time."""
        return Ownership(study_id=secrets.token_hex(16)).started_in(self)

    def start_again(self, record: "StartRecord", owner: "Ownership") -> None:
        """Write down that the study starts once more, before anyone else learns of it.

        Args:
            record: what it started with, and every extension.
            owner: the owner from now on.
        """
        written = record.model_copy(update={"ownership": owner}).model_dump_json(indent=2)
        write_whole(self._start_file, lambda path: path.write_text(written, encoding="utf-8"))
        if record.extensions:  # a kill before this line leaves the study file of before; the next start finishes it
            self.finish_extension(record)

    def finish_extension(self, record: "StartRecord") -> None:
        """Write the study file of a study that was extended."""
        write_whole(self.study_file, lambda path: path.write_text(record.study_file, encoding="utf-8"))

    def start_record(self) -> "StartRecord":
        """What the study started with.

        Raises:
            UserError: the folder was made by another version of this package, or the file is damaged.
        """
        try:
            content = self._start_file.read_bytes()
            version = json.loads(content).get("format")
        except FileNotFoundError:
            version = 0  # such folders had no version and no such file
        except (OSError, ValueError, AttributeError):
            raise UserError(f"{self._start_file}: cannot be read; restore it from a backup") from None
        if version != FOLDER_FORMAT:
            raise UserError(
                f"study {self.name} in {self.path} was made by another version of this package (folder format "
                f"{version}, this version reads {FOLDER_FORMAT}): `noisy-study table {self.name}` still works, but it "
                "cannot be resumed; resume it with that version, or start it again under another name with --name"
            )
        try:
            return StartRecord.model_validate_json(content)
        except ValidationError:
            raise UserError(f"{self._start_file}: cannot be read; restore it from a backup") from None

    def tracking_uri(self) -> str | None:
        """Where the study was tracked when it started; None for a study that is not here.

        The tables of a study of another version of this package can still be read, so its format is not checked.

        Raises:
            UserError: the file is damaged.
        """
        former = self.path / "tracking-uri"  # of folder format 0
        if not self._start_file.exists():
            return former.read_text(encoding="utf-8") if former.exists() else None
        try:
            address = json.loads(self._start_file.read_bytes())["tracking_uri"]
        except (OSError, ValueError, LookupError, TypeError):
            address = None
        return address if isinstance(address, str) else self.start_record().tracking_uri


FOLDER_FORMAT = 1
"""Version of a study's folder and journal. A folder of another version is refused in one line."""


class Ownership(Model):
    """Which study a folder holds, and which of its starts were made here.

    A name can be used in two folders, and a folder can be copied. The study's id tells the first apart, the token of
    each start tells the second apart: a copy does not know the tokens of later starts of the original.

    Attributes:
        study_id: random, made at the first start.
        tokens: a random one for every start, oldest first.
        place: where the last start was made, `HOST:/FOLDER`.
    """

    study_id: str
    tokens: tuple[str, ...] = ()
    place: str = ""

    def started_in(self, folder: StudyFolder) -> "Ownership":
        """The same with one start more."""
        return self.model_copy(update={"tokens": (*self.tokens, secrets.token_hex(8)), "place": folder.place})

    def original(self, folder: StudyFolder) -> Path | None:
        """The folder of the last start, where it is another one than this and still lies on this machine."""
        host, _, path = self.place.partition(":")
        if host != platform.node() or self.place == folder.place or not (Path(path) / LOCK).exists():
            return None
        return Path(path)


class Change(Model):
    """One key of a study file that an extension changed.

    Attributes:
        key: dotted.
        before, after: its values in words.
    """

    key: str
    before: str
    after: str


class Extension(Model):
    """An extension of a study. Its time identifies it.

    Attributes:
        timestamp_ms: Unix time in milliseconds.
        changes: what it changed.
    """

    timestamp_ms: int
    changes: tuple[Change, ...]


class StartRecord(Model):
    """What a study started with. A resume goes by it.

    Attributes:
        format: version of the folder and the journal.
        study_file: the resolved study file; of an extended study, that of its last extension.
        tracking_uri, journal: addresses of the tracking server and of the journal, without credentials.
        data_digest: SHA-256 of the images, labels and splits.
        weights: SHA-256 of every file of weights or logits, by its path in the study file.
        code: SHA-256 of the user's own code, by its reference in the study file.
        ownership: the study's id and its starts; None in folders that were made before there was one.
        seeds: those of its search and its confirmation; None without a search, and in folders that were made before
            they were kept: then the study file says them.
        extensions: oldest first.
        study_file_before: the study file before the last of them.
    """

    format: int = FOLDER_FORMAT
    study_file: str
    tracking_uri: str
    journal: str
    data_digest: str
    weights: dict[str, str]
    code: dict[str, str] = Field(default_factory=dict)
    ownership: Ownership | None = None
    seeds: FixedSeeds | None = None
    extensions: tuple[Extension, ...] = ()
    study_file_before: str | None = None

    @property
    def digests(self) -> dict[str, str]:
        """Of everything that the study file names, for keys."""
        return {**self.weights, **self.code}

    def study(self, source: str) -> StudyConfig:
        """The study, with its fixed seeds.

        Args:
            source: what to call the study file in an error.
        """
        return parse_study(self.study_file, source).with_seeds(self.seeds)
