"""A folder, its tar archive and its zip archive have the same files, and the same limits."""

import bz2
import io
import lzma
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.dataset_files import write_folder, write_tar, write_zip

from study.data.files import archive, tree
from study.data.files.tree import open_tree
from study.errors import UserError

FILES = {"a/b/one.txt": b"1" * 70_000, "a/two.txt": b"22", "three": b"", "umlaut-ä/x": b"x"}
GIB = 2**30


def _read(path: Path, most: int = GIB) -> dict[str, bytes]:
    opened = open_tree(path, most)
    files = [entry for entry in opened.entries if entry.kind == "file"]
    return {files[at].name: content for at, content in opened.contents(files)}


def _refused(path: Path, most: int = GIB) -> str:
    with pytest.raises(UserError) as refusal:
        _read(path, most)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_every_form_has_the_same_files(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"files.{form}"
    written = (
        write_folder(path, FILES)
        if form == "folder"
        else write_zip(path, FILES)
        if form == "zip"
        else write_tar(path, FILES)
    )
    assert _read(written) == FILES


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_may_be_compressed_in_any_way(tmp_path: Path, compression: int) -> None:
    assert _read(write_zip(tmp_path / "a.zip", FILES, compression)) == FILES


def test_the_name_of_an_archive_does_not_matter(tmp_path: Path) -> None:
    assert _read(write_zip(tmp_path / "a.tar", FILES)) == FILES
    assert _read(write_tar(tmp_path / "a.tar.xz", FILES).rename(tmp_path / "b.zip")) == FILES


def test_a_zip_from_macos_has_names_in_utf_8(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"umlaut-ä/x": b"x"})
    path.write_bytes(path.read_bytes().replace(b"\x00\x08", b"\x00\x00"))  # the flag that says so
    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() != ["umlaut-ä/x"]
    assert [entry.name for entry in open_tree(path, GIB).entries] == ["umlaut-ä/x"]


def test_the_last_of_two_members_of_one_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as opened:
        for content in (b"old", b"newer"):
            member = tarfile.TarInfo("x")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    assert _read(path) == {"x": b"newer"}


def test_links_are_no_files(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    in_zip = zipfile.ZipInfo("link")
    in_zip.create_system, in_zip.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(in_zip, "/etc/passwd")
    for path in (write_tar(tmp_path / "a.tar", {}, [link]), tmp_path / "a.zip"):
        assert [entry.kind for entry in open_tree(path, GIB).entries] == ["other"]


def test_a_link_to_a_folder_above_is_not_followed_again(tmp_path: Path) -> None:
    write_folder(tmp_path, FILES)
    os.symlink(tmp_path, tmp_path / "a" / "again")
    assert _read(tmp_path) == FILES


@pytest.mark.parametrize("name", ["/etc/x", "a/../../x"])
def test_a_zip_with_an_unsafe_name_is_refused(tmp_path: Path, name: str) -> None:
    assert "points outside the archive" in _refused(write_zip(tmp_path / "a.zip", {name: b"x"}))


def test_a_zip_has_the_limits_of_a_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    assert "unpacks to more than" in _refused(path, 1000)
    monkeypatch.setattr(tree, "MAX_FILE_BYTES", 1000)
    assert "one.txt has more than" in _refused(path)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert "more than 3 files" in _refused(path)


def test_a_zip_that_names_a_smaller_size_is_refused(tmp_path: Path) -> None:
    """A member unpacks to no more than its header names."""
    path = write_zip(tmp_path / "a.zip", {"x": bytes(2**20)})
    size = (2**20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (100).to_bytes(4, "little")))
    assert "not a complete zip archive" in _refused(path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_archive_is_refused(tmp_path: Path, kind: str, kept: float) -> None:
    files = {str(number): os.urandom(300) for number in range(20)}
    path = (write_zip if kind == "zip" else write_tar)(tmp_path / f"a.{kind}", files)
    whole = path.read_bytes().rstrip(b"\0")
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert "archive" in _refused(path)


def test_an_xz_file_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**30}]
    path.write_bytes(lzma.compress(bytes(10_240), filters=filters))
    assert "memory usage limit" in _refused(path).lower()


def test_several_xz_streams_are_one_archive(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tar", FILES).read_bytes()
    path = tmp_path / "a.tar.xz"
    path.write_bytes(lzma.compress(whole[:5000]) + bytes(8) + lzma.compress(whole[5000:]))
    assert _read(path) == FILES


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file, not"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file, not"),
        (b"Rar!\x1a\x07\x01\0" + bytes(600), "a RAR archive, not"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "a 7-Zip archive, not"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "Zstandard data, not"),
        (b"\n<!DOCTYPE html><html>Not found</html>", "a web page, not"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the file itself, not"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    refusal = _refused(path)
    assert f"{kind} a tar archive" in refusal
    assert "fetch it again" not in refusal


def test_compressed_data_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bz2"
    path.write_bytes(bz2.compress(b"just text" * 100))
    assert "archive" in _refused(path)


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"x": b"x"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "encrypted" in _refused(path)
