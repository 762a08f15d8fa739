"""Tar archives from outside. They are read as a stream and never unpacked to disk. Nothing in them is trusted.

Works on plain and gzipped archives. A few bytes of gzip can unpack to gigabytes, and a header can name any size. So all
bytes are counted while they are read. Knows nothing of the content of the files.
"""

import contextlib
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from study.errors import UserError

MAX_MEMBERS = 5_000_000
"""Four times the files of ImageNet."""

Member = tuple[tuple[str, ...], bool, Callable[[], bytes]]
"""The parts of its name, whether it is a folder, and its content (to be called before the next member)."""


def archive_members(path: Path, max_file_bytes: int, max_total_bytes: int) -> Iterator[Member]:
    """The folders and files of a tar archive, each checked before it is yielded.

    Args:
        path: the archive.
        max_file_bytes: the largest size of a file in it.
        max_total_bytes: the largest size of all unpacked files together.

    Raises:
        UserError: one line that names the archive. The archive is damaged or truncated; a member points outside, is a
            link or a device, or is too large; or all files together are too large.
    """
    with _one_line(path), _open(path) as opened:
        stream = _Metered(path, opened, max_total_bytes)
        at_once = max_file_bytes + 2**20  # the rest of one file, and the headers of the next one
        stream.left = at_once
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for _ in range(MAX_MEMBERS + 1):
                stream.left = at_once
                member = archive.next()
                if member is None:
                    break
                archive.members.clear()  # tarfile keeps a list of all members
                parts = _safe_parts(path, member, max_file_bytes)
                stream.left = at_once

                def read(member: tarfile.TarInfo = member) -> bytes:
                    with _one_line(path):
                        file = archive.extractfile(member)
                        assert file is not None  # a regular file, as checked
                        content: bytes = file.read()
                        return content

                yield parts, member.isdir(), read
            else:
                raise UserError(f"{path}: refused: more than {MAX_MEMBERS} files")
        stream.left = at_once
        _check_end(path, opened, stream)


class _Metered:
    """A stream that raises an error when too many bytes were read from it.

    Attributes:
        left: how many bytes may be read until it is set again.
    """

    def __init__(self, path: Path, stream: BinaryIO, total: int) -> None:
        self._path, self._stream, self._total, self._left_of_all = path, stream, total, total
        self.left = 0

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.left -= len(content)
        self._left_of_all -= len(content)
        if self.left < 0:
            raise UserError(f"{self._path}: refused: a header, or the end of the archive, is too long")
        if self._left_of_all < 0:
            raise UserError(f"{self._path}: refused: it unpacks to more than {self._total // 2**30} GiB")
        return content


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, LookupError, ArithmeticError) as error:
        # tarfile raises the last three if an extended header contains no numbers.
        what = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise UserError(f"{path}: not a complete tar archive: {what[:200]}; fetch it again") from None


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]


def _check_end(path: Path, opened: BinaryIO, stream: _Metered) -> None:
    """Check that the archive is complete: tarfile accepts an archive that was cut between two members."""
    if isinstance(opened, gzip.GzipFile):
        while stream.read(2**20):  # up to gzip's checksum, which detects a cut
            pass
        return
    opened.seek(-min(512, path.stat().st_size), io.SEEK_END)
    if any(opened.read()):
        raise UserError(f"{path}: the archive is truncated: it lacks its end mark; fetch it again")


def _safe_parts(path: Path, member: tarfile.TarInfo, max_file_bytes: int) -> tuple[str, ...]:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise UserError(f"{path}: refused: its member {shown(member.name)} points outside the archive")
    if not (member.isreg() or member.isdir()):
        raise UserError(f"{path}: refused: its member {shown(member.name)} is a link or a device, not a file")
    if not 0 <= member.size <= max_file_bytes:
        raise UserError(f"{path}: refused: its member {shown(member.name)} has more than {max_file_bytes // 2**20} MB")
    return name.parts


def shown(name: str) -> str:
    """A name from outside, in a form that fits an error message of one line."""
    name = name if len(name) <= 200 else f"{name[:197]}..."
    return name if name.isprintable() else repr(name)
