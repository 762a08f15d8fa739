"""How much room a folder takes, and how it is written."""

from pathlib import Path

import pytest

from study.disk import bytes_below, in_words


def test_bytes_of_all_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "below" / "b").write_bytes(bytes(5))
    assert bytes_below(tmp_path) == 15


def test_a_folder_that_does_not_exist_has_no_bytes(tmp_path: Path) -> None:
    assert bytes_below(tmp_path / "nowhere") == 0


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12_000_000, "12 MB"), (3 * 10**15, "3000 TB")]
)
def test_bytes_have_a_unit(count: int, words: str) -> None:
    assert in_words(count) == words
