"""Tar archives from outside. They are read as a stream and never unpacked to disk. Nothing in them is trusted.

Works on plain archives, and on archives compressed by gzip, bzip2 or xz. A few compressed bytes can unpack to
gigabytes, and a header can name any size. So all bytes are counted while they are read. Knows nothing of the content of
the files.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from study.data.files.kinds import kind_of
from study.errors import UserError

MAX_MEMBERS = 5_000_000
"""Four times the files of ImageNet."""
LZMA_MEMORY = 2**28
"""The most memory that unpacking xz may take. `xz -9` needs a quarter of it."""
_CHUNK = 2**20

Kind = Literal["file", "folder", "other"]
"""`other`: a link, a device or a sparse file, none of which is read."""


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes:
        parts: the parts of its name.
        kind: what it is.
        start: the position of its content in the unpacked archive.
        size: the length of its content.
        read: returns its content; must be called before the next member is taken.
    """

    parts: tuple[str, ...]
    kind: Kind
    start: int
    size: int
    read: Callable[[], bytearray]


def archive_members(path: Path, max_file_bytes: int, max_total_bytes: int) -> Iterator[Member]:
    """The members of a tar archive, each checked before it is yielded.

    Args:
        path: the archive.
        max_file_bytes: the largest size of a file in it.
        max_total_bytes: the largest size of all unpacked files together.

    Raises:
        UserError: one line that names the archive. The archive is damaged, truncated or no tar archive; a member points
            outside, or is too large; or all files together are too large. `Member.read` raises it for a link or a
            device.
    """
    _check_is_tar(path)
    with _one_line(path), _open(path) as opened:
        stream = _Metered(path, opened, max_total_bytes)
        at_once = max_file_bytes + _CHUNK  # the rest of one file, and the headers of the next one
        stream.left = at_once
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for _ in range(MAX_MEMBERS + 1):
                stream.left = at_once
                member = archive.next()
                if member is None:
                    break
                archive.members.clear()  # tarfile keeps a list of all members
                yield _checked(path, archive, member, max_file_bytes)
                stream.left = at_once
            else:
                raise UserError(f"{path}: refused: more than {MAX_MEMBERS} files")
        stream.left = at_once
        _check_end(path, opened, stream)


def archive_contents(path: Path, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """The contents of some files of an archive, in the order in which they are stored.

    Args:
        path: an archive whose members were checked.
        places: start and size of each file, as `Member` has them.

    Yields:
        the index in `places`, and the content.
    """
    with _one_line(path), _open(path) as stream:
        position = 0
        for at in sorted(range(len(places)), key=lambda each: places[each]):
            start, size = places[at]
            if isinstance(stream, io.BufferedReader):
                stream.seek(start)
            else:
                _read_exactly(stream, start - position, keep=False)
            yield at, _read_exactly(stream, size)
            position = start + size


class _Metered:
    """A stream that raises an error when too many bytes were read from it.

    Attributes:
        left: how many bytes may be read until it is set again.
    """

    def __init__(self, path: Path, stream: "_Stream", total: int) -> None:
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


class _Lzma:
    """What an xz file unpacks to. `lzma.open` has no limit for the memory that a file may ask for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._pending, self._decoder = file, b"", self._new()

    def __enter__(self) -> "_Lzma":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        content = b""
        while size and not content:
            if self._decoder.eof:  # several streams may follow each other, with zeros between them
                self._pending = (self._decoder.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
                if not self._pending:
                    break
                self._decoder = self._new()
            elif self._decoder.needs_input and not self._pending:
                self._pending = self._file.read(_CHUNK)
                if not self._pending:
                    raise EOFError("it ends too early")
            content = self._decoder.decompress(self._pending, size)
            self._pending = b""
        return content

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=LZMA_MEMORY)


_Stream = BinaryIO | _Lzma


def _read_exactly(stream: _Stream, size: int, keep: bool = True) -> bytes:
    """Read so many bytes, and return them unless they are skipped."""
    pieces = []
    while size > 0:
        piece = stream.read(min(size, _CHUNK))
        if not piece:
            raise EOFError("it ends too early")
        size -= len(piece)
        if keep:
            pieces.append(piece)
    return b"".join(pieces)


def _checked(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, max_file_bytes: int) -> Member:
    parts = safe_parts(path, member.name)
    if not 0 <= member.size <= max_file_bytes:
        raise UserError(f"{path}: refused: its member {shown(member.name)} has more than {max_file_bytes // 2**20} MB")
    is_file = member.isreg() and not member.issparse()

    def read() -> bytearray:
        if not is_file:
            raise UserError(f"{path}: refused: its member {shown(member.name)} is a link or a device, not a file")
        with _one_line(path):
            file = archive.extractfile(member)
            assert file is not None  # a regular file, as checked
            content, filled = bytearray(member.size), 0
            while filled < member.size:
                count = file.readinto(memoryview(content)[filled : filled + _CHUNK])  # type: ignore[attr-defined]  # a buffered reader
                if not count:
                    raise EOFError("it ends too early")
                filled += count
            return content

    kind: Kind = "folder" if member.isdir() else "file" if is_file else "other"
    return Member(parts, kind, member.offset_data, member.size, read)


def safe_parts(path: Path, name: str) -> tuple[str, ...]:
    """The parts of a member's name.

    Raises:
        UserError: the name points outside the archive.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name:
        raise UserError(f"{path}: refused: its member {shown(name)} points outside the archive")
    return pure.parts


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        *(tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError),
        *(ValueError, LookupError, ArithmeticError),  # tarfile raises these if an extended header contains no numbers
    ) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise UserError(f"{path}: not a complete tar archive: {what[:200]}; fetch it again") from None


def _check_is_tar(path: Path) -> None:
    """Check that a file may be a tar archive. A file of another known kind is whole, so its kind is named."""
    try:
        kind = kind_of(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if kind not in (None, "a tar archive", "gzip data", "bzip2 data", "xz data"):
        raise UserError(
            f"{path}: {kind}, not a tar archive (plain, or compressed by gzip, bzip2 or xz) or a zip archive"
        )


def _open(path: Path) -> _Stream:
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if start.startswith(b"BZh"):
        return bz2.open(path, "rb")  # type: ignore[return-value]
    if start.startswith(b"\xfd7zXZ\0"):
        return _Lzma(path.open("rb"))
    return path.open("rb")


def _check_end(path: Path, opened: _Stream, stream: _Metered) -> None:
    """Check that the archive is complete: tarfile accepts an archive that was cut between two members."""
    if not isinstance(opened, io.BufferedReader):
        while stream.read(_CHUNK):  # up to the checksum, which detects a cut
            pass
        return
    opened.seek(-min(512, path.stat().st_size), io.SEEK_END)
    if any(opened.read()):
        raise UserError(f"{path}: the archive is truncated: it lacks its end mark; fetch it again")


def shown(name: str) -> str:
    """A name from outside, in a form that fits an error message of one line."""
    name = name if len(name) <= 200 else f"{name[:197]}..."
    return name if name.isprintable() else repr(name)
