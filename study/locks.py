"""Locks of the operating system on files. They end with the process that holds them.

Works on paths. Knows nothing of studies. If a file system has no locks, the error names it as the
reason, and not the part of the program that asked for the lock.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from study.errors import UserError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


def file_lock(file: Path) -> FileLock:
    """A lock on a file, for any thread. It never falls back to a lock that outlives its process."""
    return FileLock(file, thread_local=False, fallback_to_soft=False)


@contextmanager
def naming_the_file_system(file: Path) -> Iterator[None]:
    """Around the acquisition of a lock on `file`.

    Raises:
        UserError: the file system has no locks; names the folder and what to do.
        OSError, Timeout: as the lock raises them for any other reason.
    """
    try:
        yield
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:  # filelock makes a NotImplementedError of ENOSYS
        number = error.errno if isinstance(error, OSError) else errno.ENOSYS
        if number not in _UNSUPPORTED:
            raise
        reason = os.strerror(number)
        raise UserError(
            f"{file.parent.absolute()}: this file system does not lock files ({reason}); use a folder on another one, "
            "for example a local disk, or mount this one with locks"
        ) from None


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the lock on a file for the length of the block; waits for the process that holds it.

    Raises:
        UserError: the file system has no locks.
        OSError: the file cannot be opened.
    """
    lock = file_lock(file)
    with naming_the_file_system(file):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_held(file: Path) -> bool:
    """Whether a process on this machine holds the lock on a file. Takes no lock, so it disturbs nobody.

    Reads the kernel's table. Where there is none (not Linux), the answer is False.
    """
    try:
        inode = str(file.stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    # A line: `1: FLOCK ADVISORY WRITE 4711 fe:00:131 0 EOF`; a waiting process has `->` before the kind.
    words = (line.split() for line in lines)
    return any(len(each) > 5 and each[1] == "FLOCK" and each[5].rpartition(":")[2] == inode for each in words)
