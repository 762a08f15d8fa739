"""How much room a folder takes."""

from pathlib import Path

from study.disk import bytes_below


def test_bytes_of_all_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "below" / "b").write_bytes(bytes(5))
    assert bytes_below(tmp_path) == 15


def test_a_folder_that_does_not_exist_has_no_bytes(tmp_path: Path) -> None:
    assert bytes_below(tmp_path / "nowhere") == 0
