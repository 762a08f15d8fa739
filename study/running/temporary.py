"""Temporary folders that a killed process does not leave for ever.

Works on folders. Each one contains a file that its process locks. The operating system frees the lock when the process
ends, however it ends, so the next start knows which folders nobody uses, and removes them. Knows nothing of studies.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.errors import StorageFull, UserError
from study.locks import naming_the_file_system

LOCK = ".noisy-study.lock"
"""The locked file in each folder. Folders of other programs do not have it, so they are never removed."""


@contextmanager
def temporary_folder(prefix: str, variable: str, parent: str | None = None) -> Iterator[Path]:
    """A temporary folder for the length of the block. First removes those that killed processes have left.

    Args:
        prefix: the beginning of its name.
        variable: the environment variable that chooses its parent, for the message.
        parent: the folder to make it in; None for Python's own choice.

    Raises:
        StorageFull: there is no room for it.
        UserError: it cannot be made, or its file system has no locks.
    """
    try:
        place = Path(parent or tempfile.gettempdir())
        remove_left_folders(place, prefix)
        # The folder gets its name when its lock is held. Before, another start would take it for one that was left.
        unnamed = Path(tempfile.mkdtemp(prefix=".", dir=place))
        folder = unnamed.with_name(prefix + unnamed.name.removeprefix("."))
        with naming_the_file_system(unnamed / LOCK):
            lock = _locked(unnamed / LOCK)
        unnamed.rename(folder)
    except OSError as error:
        # Without a parent, Python tries several folders and then raises ENOENT, whatever the reason was.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or parent is None
        where = parent or "the folder of temporary files"
        raise (StorageFull if full else UserError)(
            f"no temporary folder can be made in {where}: {error.strerror or error}; free some space there, or choose "
            f"another folder with {variable}"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left_folders(parent: Path, prefix: str) -> None:
    """Remove this user's folders of `temporary_folder` whose process has ended without removing them."""
    for file in parent.glob(f"{prefix}*/{LOCK}"):
        try:
            # Others may make such a folder too, with a link to a file of ours in it.
            if {file.lstat().st_uid, file.parent.lstat().st_uid} != {os.getuid()}:
                continue
            lock = _locked(file)
        except OSError:  # its process lives, or another start has just removed the folder
            continue
        shutil.rmtree(file.parent, ignore_errors=True)
        os.close(lock)


def _locked(file: Path) -> int:
    """Open a file and lock it until the descriptor is closed. A process that is started later does not inherit it.

    Raises:
        OSError: another process holds the lock, or the file system has no locks.
    """
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
