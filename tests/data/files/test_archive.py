"""Archives from outside: bounded in memory and time, whatever their headers say."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from study.data.files import archive
from study.data.files.archive import archive_members
from study.errors import UserError

END = bytes(1024)


def _read_all(path: Path, file: int, total: int) -> None:
    for member in archive_members(path, file, total):
        if member.kind != "folder":
            member.read()


def _refused(path: Path, file: int = 2**20, total: int = 2**30) -> str:
    with pytest.raises(UserError) as refusal:
        _read_all(path, file, total)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500
    return str(refusal.value)


def _header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def _bomb(path: Path, *parts: bytes) -> Path:
    path.write_bytes(gzip.compress(b"".join(parts), 1))
    return path


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_endless_header_is_refused(tmp_path: Path, kind: bytes) -> None:
    bomb = _bomb(tmp_path / "a.tar.gz", _header("x", 2**25, kind), bytes(2**25), _header("x"), END)
    assert "is too long" in _refused(bomb)


def test_an_endless_end_is_refused(tmp_path: Path) -> None:
    assert "is too long" in _refused(_bomb(tmp_path / "a.tar.gz", _header("x"), END, bytes(2**23)))


def test_files_that_unpack_to_more_than_is_allowed_are_refused(tmp_path: Path) -> None:
    files = [_header(str(number), 2**20) + bytes(2**20) for number in range(20)]
    assert "unpacks to more than" in _refused(_bomb(tmp_path / "a.tar.gz", *files, END), total=2**23)


def test_more_files_than_is_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    files = [_header(str(number)) for number in range(6)]
    assert "more than 5 files" in _refused(_bomb(tmp_path / "a.tar.gz", *files, END))
    assert len(list(archive_members(_bomb(tmp_path / "b.tar.gz", *files[:5], END), 2**20, 2**30))) == 5


@pytest.mark.parametrize("size", [-1, 2**40])
def test_an_impossible_size_is_refused(tmp_path: Path, size: int) -> None:
    assert "more than 1 MB" in _refused(_bomb(tmp_path / "a.tar.gz", _header("x", size), END))


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.size": "many"},
        {"GNU.sparse.map": "a,b"},
        {"path": "a\0b"},
        {"path": "/a" * 9},
    ],
)
def test_an_extended_header_of_nonsense_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as written:
        member = tarfile.TarInfo("x")
        member.pax_headers = headers
        written.addfile(member)
    path = tmp_path / "a.tar"
    path.write_bytes(stream.getvalue())
    _refused(path)


def test_unread_members_are_not_kept(tmp_path: Path) -> None:
    """The archive's own list of members would grow with it."""
    path = _bomb(tmp_path / "a.tar.gz", *(_header(f"{number}/") for number in range(1000)), END)
    assert [member.parts for member in archive_members(path, 1, 2**30)] == [(str(number),) for number in range(1000)]
