"""The files of a folder, a tar archive or a zip archive, named and read in one way.

Works on names and bytes. What is outside is not trusted: archives have limits, and a file is read only if it is one. A
folder, its tar archive and its zip archive have the same entries. Knows nothing of pictures and classes.
"""

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.data.files import archive
from study.data.files.archive import Kind, archive_contents, archive_members, safe_parts, shown
from study.data.files.kinds import kind_of
from study.errors import UserError

MAX_FILE_BYTES = 50 * 2**20

_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, LookupError),
    *(RuntimeError, MemoryError, NotImplementedError),  # an encrypted member, and an unknown compression
)
_UTF_8_NAME = 0x800


@dataclass(frozen=True)
class Entry:
    """A file or folder.

    Attributes:
        parts: the parts of its name below the folder or in the archive.
        kind: what it is.
        place: where its content is; only the tree knows what that means.
    """

    parts: tuple[str, ...]
    kind: Kind
    place: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True)
class Tree:
    """A folder or an archive.

    Attributes:
        path: where it is.
        entries: everything in it; of members of an archive with the same name, the last one.
    """

    path: Path
    entries: tuple[Entry, ...]
    _contents: Callable[[Sequence[Entry]], Iterator[tuple[int, bytes]]]

    def contents(self, entries: Sequence[Entry]) -> Iterator[tuple[int, bytes]]:
        """The position of each entry, and the content of its file, in the order that is fast to read.

        Args:
            entries: some of the kind `file`.

        Raises:
            UserError: a file cannot be read or is too large.
        """
        return self._contents(entries)


def open_tree(path: Path, max_total_bytes: int) -> Tree:
    """List a folder or an archive.

    Args:
        path: a folder, a tar archive (plain, or compressed by gzip, bzip2 or xz) or a zip archive.
        max_total_bytes: the largest size of all unpacked files of an archive together.

    Raises:
        UserError: it cannot be read, is something else, is damaged, or is an archive that is too large or unsafe.
    """
    if path.is_dir():
        return Tree(path, tuple(_walk(path)), lambda entries: _folder_contents(path, entries))
    try:
        is_zip = (kind_of(path) or "").endswith("zip archive")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if is_zip:
        return Tree(path, _last(_zip_entries(path, max_total_bytes)), lambda entries: _zip_contents(path, entries))
    members = archive_members(path, MAX_FILE_BYTES, max_total_bytes)
    listed = _last(Entry(member.parts, member.kind, (member.start, member.size)) for member in members)
    return Tree(path, listed, lambda entries: archive_contents(path, [entry.place for entry in entries]))


def _last(entries: Iterator[Entry]) -> tuple[Entry, ...]:
    return tuple({entry.parts: entry for entry in entries if entry.parts}.values())


# ------------------------------------------------------------------------------------------------------------- folders


def _walk(root: Path) -> Iterator[Entry]:
    """Everything below a folder. A link is what it points at, unless it points at a folder that contains it."""
    count = 0
    waiting: list[tuple[tuple[str, ...], frozenset[tuple[int, int]]]] = [((), frozenset())]
    while waiting:
        parts, above = waiting.pop()
        folder = root.joinpath(*parts)
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                continue
            with os.scandir(folder) as found:
                entries = [(entry.name, entry.is_dir()) for entry in found]
        except OSError as error:
            if not parts:
                raise UserError(f"{folder}: cannot be read: {error.strerror or error}") from None
            yield Entry(parts, "other")
            continue
        count += len(entries)
        if count > archive.MAX_MEMBERS:
            raise UserError(f"{root}: refused: more than {archive.MAX_MEMBERS} files")
        for name, is_folder in entries:
            yield Entry((*parts, name), "folder" if is_folder else "file")
            if is_folder:
                waiting.append(((*parts, name), above | {identity}))


def _folder_contents(root: Path, entries: Sequence[Entry]) -> Iterator[tuple[int, bytes]]:
    folder = os.path.join(root, "")
    for at, entry in enumerate(entries):
        try:
            yield at, _read_bounded(folder + entry.name)  # a path as text: `Path` takes as long as the reading
        except OSError as error:
            raise UserError(f"{root}: {shown(entry.name)}: cannot be read: {error.strerror or error}") from None


def _read_bounded(file: str) -> bytes:
    try:
        status = os.stat(file)
    except FileNotFoundError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):  # a broken link, or a pipe that never ends
        raise UserError(f"{file}: not a file that can be read; remove it")
    with open(file, "rb") as opened:
        content = opened.read(min(status.st_size, MAX_FILE_BYTES) + 1)
    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"{file}: larger than {MAX_FILE_BYTES // 2**20} MB; is it an image?")
    return content


# ---------------------------------------------------------------------------------------------------------------- zip


def _zip_entries(path: Path, max_total_bytes: int) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
    except _ZIP_DAMAGE as error:
        raise _damaged_zip(path, error) from None
    if len(members) > archive.MAX_MEMBERS:
        raise UserError(f"{path}: refused: more than {archive.MAX_MEMBERS} files")
    total = 0
    for at, member in enumerate(members):
        name = _name(member)
        parts = safe_parts(path, name)
        if member.file_size > MAX_FILE_BYTES:
            raise UserError(f"{path}: refused: its member {shown(name)} has more than {MAX_FILE_BYTES // 2**20} MB")
        total += member.file_size
        if total > max_total_bytes:
            raise UserError(f"{path}: refused: it unpacks to more than {max_total_bytes // 2**30} GiB")
        yield Entry(parts, _zip_kind(member), (member.header_offset, at))


def _name(member: zipfile.ZipInfo) -> str:
    """A member's name. macOS writes UTF-8 without saying so. A tar archive has the same bytes as the name."""
    if member.flag_bits & _UTF_8_NAME:
        return member.filename
    return member.filename.encode("cp437").decode("utf-8", "surrogateescape")


def _zip_kind(member: zipfile.ZipInfo) -> Kind:
    mode = stat.S_IFMT(member.external_attr >> 16)
    if member.is_dir():
        return "folder"
    return "file" if mode in (0, stat.S_IFREG) else "other"


def _zip_contents(path: Path, entries: Sequence[Entry]) -> Iterator[tuple[int, bytes]]:
    """A member unpacks to no more bytes than its header names, and its check sum is compared."""
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
            for at in sorted(range(len(entries)), key=lambda each: entries[each].place):
                yield at, opened.read(members[entries[at].place[1]])
    except _ZIP_DAMAGE as error:
        raise _damaged_zip(path, error) from None


def _damaged_zip(path: Path, error: BaseException) -> UserError:
    what = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, (NotImplementedError, RuntimeError)):  # it is whole, but encrypted or compressed unusually
        return UserError(f"{path}: a zip archive that cannot be read: {what}; pack it again")
    return UserError(f"{path}: not a complete zip archive: {what}; fetch it again")
