"""Who may read what a study writes: its owner alone, unless the folder of studies was made for others too."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from support.other_user import NOBODY, as_nobody, needs_root

from study.running.service import locked
from study.running.temporary import LOCK, remove_left_folders, temporary_folder
from study.storage import StudyFolder, make_root, write_whole


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Any:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def _names(folder: str) -> dict[str, Any]:
    try:
        return {"names": os.listdir(folder)}
    except PermissionError:
        return {"names": None}


@pytest.mark.usefixtures("umask")
def test_the_folder_of_studies_is_its_owners_alone(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "new" / "root", "mine")
    with locked(folder):
        assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


@needs_root
def test_another_user_reads_nothing_of_a_study(tmp_path: Path) -> None:
    """Also where the folders above are open to everybody."""
    with temporary_folder("open-", "TMPDIR", "/tmp") as place:
        place.chmod(0o755)
        folder = StudyFolder(place / ".noisy-study", "mine")
        with locked(folder):
            write_whole(folder.study_file, lambda path: path.write_text("name: mine"))
            assert as_nobody(_names, str(place))["names"] is not None
            assert as_nobody(_names, str(folder.root))["names"] is None
            assert as_nobody(_names, str(folder.path))["names"] is None


def test_a_folder_that_was_made_for_a_group_stays_so(tmp_path: Path, umask: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    make_root(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o2770
    write_whole(shared / "file", lambda path: path.write_text("x"))
    assert stat.S_IMODE((shared / "file").stat().st_mode) == 0o666 & ~umask


@pytest.mark.usefixtures("umask")
def test_a_temporary_folder_cannot_be_foreseen_or_entered(tmp_path: Path) -> None:
    with (
        temporary_folder("x-", "TMPDIR", str(tmp_path)) as one,
        temporary_folder("x-", "TMPDIR", str(tmp_path)) as other,
    ):
        assert one.name != other.name
        assert len(one.name.removeprefix("x-")) >= 8
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in (one, other)} == {0o700}


@needs_root
def test_a_folder_of_another_user_is_not_removed(tmp_path: Path) -> None:
    """It has a link to a file of ours, so that it looks like ours."""
    ours = tmp_path / "ours"
    ours.touch()
    theirs = tmp_path / "x-theirs"
    theirs.mkdir()
    (theirs / LOCK).symlink_to(ours)
    os.chown(theirs, NOBODY, NOBODY)
    remove_left_folders(tmp_path, "x-")
    assert theirs.exists()
    os.chown(theirs, 0, 0)  # the link is still no file of ours
    remove_left_folders(tmp_path, "x-")
    assert theirs.exists()
    assert ours.exists()
