"""Temporary folders end with their process, or are removed by the next start."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from study.errors import StorageFull, UserError
from study.running.temporary import LOCK, temporary_folder

KILLED = """
import os, signal, sys
from study.running.temporary import temporary_folder

with temporary_folder("x-", "TMPDIR", sys.argv[1]) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="or choose another folder with TMPDIR"),
        temporary_folder("x-", "TMPDIR", str(tmp_path / "missing")),
    ):
        raise AssertionError


def test_full_temporary_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds no usable folder when a write to each one fails, as it does on full disks."""

    def none_usable() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none_usable)
    with pytest.raises(StorageFull, match="or choose another folder with TMPDIR"), temporary_folder("x-", "TMPDIR"):
        raise AssertionError


def test_a_folder_ends_with_its_block(tmp_path: Path) -> None:
    with temporary_folder("x-", "TMPDIR", str(tmp_path)) as folder:
        assert folder.name.startswith("x-")
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    left = Path(ran.stdout.strip())
    assert (left / "file").exists()
    with temporary_folder("x-", "TMPDIR", str(tmp_path)) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_folders_in_use_and_of_others_stay(tmp_path: Path) -> None:
    """Another program may use the same prefix; its folders do not have our file. One of another user is left alone."""
    (tmp_path / "x-of-another-program").mkdir()
    (tmp_path / "x-of-another-user").mkdir()
    (tmp_path / "x-of-another-user" / LOCK).touch()
    if os.getuid() == 0:
        os.chown(tmp_path / "x-of-another-user" / LOCK, 65534, 65534)
    else:
        (tmp_path / "x-of-another-user" / LOCK).unlink()
    with temporary_folder("x-", "TMPDIR", str(tmp_path)) as one, temporary_folder("x-", "TMPDIR", str(tmp_path)) as two:
        assert one.exists()
        assert two.exists()
    assert {each.name for each in tmp_path.iterdir()} == {"x-of-another-program", "x-of-another-user"}
