"""Files are written whole or not at all."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.full_disk import full_disk

from study.errors import StorageFull, UserError
from study.storage import StartRecord, StudyFolder, write_whole


def _writing(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "file", _writing(b"content"))
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"content"
    assert _everything_below(tmp_path) == ["a", "a/b", "a/b/file"]


def test_a_reader_sees_the_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    seen: list[bytes] = []

    def write(path: Path) -> None:
        path.write_bytes(b"half of the n")
        seen.append(file.read_bytes())
        path.write_bytes(b"half of the new content")

    write_whole(file, write)
    assert seen == [b"old"]
    assert file.read_bytes() == b"half of the new content"


@pytest.mark.parametrize("interruption", [ValueError("a bug"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_content(tmp_path: Path, interruption: BaseException) -> None:
    """A write that raises leaves the old content and nothing else."""
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise interruption

    with pytest.raises(type(interruption)):
        write_whole(file, write)
    assert file.read_bytes() == b"old"
    assert _everything_below(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_content_and_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with full_disk(), pytest.raises(StorageFull, match=f"cannot write {re.escape(str(file))}: File too large; "):
        write_whole(file, _writing(b"x" * 5000))
    assert file.read_bytes() == b"old"
    assert _everything_below(tmp_path) == ["file"]


@pytest.mark.parametrize("below", ["occupied/file", "occupied/deep/down/file"])
def test_a_path_below_a_regular_file_is_named_in_one_line(tmp_path: Path, below: str) -> None:
    (tmp_path / "occupied").write_text("not a folder")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / below))) as refusal:
        write_whole(tmp_path / below, _writing(b"content"))
    assert "\n" not in str(refusal.value)
    assert _everything_below(tmp_path) == ["occupied"]


def test_a_path_that_is_a_folder_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder"):
        write_whole(tmp_path / "folder", _writing(b"content"))
    assert _everything_below(tmp_path) == ["folder"]


def test_everything_of_a_study_lies_in_its_own_folder(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "mine")
    files = (folder.study_file, folder.lock, folder.trial("grid-0003"))
    assert all(file.is_relative_to(folder.path) for file in files)
    assert folder.own_journal.startswith(f"sqlite:///{folder.path}/")
    assert len({*files, folder.trial("grid-0004"), StudyFolder(tmp_path, "yours").study_file}) == len(files) + 2


def test_a_study_exists_once_it_is_claimed(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "mine")
    assert not folder.exists()
    assert folder.tracking_uri() is None
    record = _record("name: mine\n")
    folder.claim(record)
    assert folder.exists()
    assert folder.study_file.read_text() == "name: mine\n"
    assert folder.tracking_uri() == "sqlite:///mlflow.db"
    assert folder.start_record() == record


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"format": 1}', b'{"format": 2}', b"\xff"])
def test_a_start_record_that_cannot_be_used_is_one_line(tmp_path: Path, content: bytes) -> None:
    folder = StudyFolder(tmp_path, "mine")
    folder.claim(_record("name: mine\n"))
    (folder.path / "start.json").write_bytes(content)
    with pytest.raises(UserError, match=r"start\.json: cannot be read|made by another version"):
        folder.start_record()


def test_a_study_that_could_not_be_claimed_does_not_exist(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "mine")
    with full_disk(), pytest.raises(UserError):
        folder.claim(_record("#" * 5000))
    assert not folder.exists()


def _record(study_file: str) -> StartRecord:
    return StartRecord(
        study_file=study_file,
        tracking_uri="sqlite:///mlflow.db",
        journal="sqlite:///journal.db",
        data_digest="0123abcd",
        weights={},
    )


def test_a_root_that_is_an_address_is_refused() -> None:
    with pytest.raises(UserError, match="expected a folder that every node mounts, not an address"):
        StudyFolder(Path("s3://bucket/studies"), "it")


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", "", "/etc", "a/b", "a\0b", "a\n", "-x", ".hidden", "a" * 101, "CON:", "é", "~"]
)
def test_a_study_s_name_cannot_leave_the_folder_of_all_studies(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no study can be named"):
        StudyFolder(tmp_path, name)
