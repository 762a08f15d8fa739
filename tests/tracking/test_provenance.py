"""Which commit a study keeps with its results."""

import subprocess
from pathlib import Path

import pytest

from study.tracking import provenance


def test_is_the_one_the_image_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDY_COMMIT", "0123456789abcdef")
    assert provenance.git_commit() == "0123456789abcdef"


@pytest.mark.parametrize("said", [None, ""])
def test_is_the_checkouts_own_where_no_image_says_one(said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOISY_STUDY_COMMIT", raising=False)
    if said is not None:
        monkeypatch.setenv("NOISY_STUDY_COMMIT", said)
    here = Path(provenance.__file__).parent
    asked = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert (provenance.git_commit() or "").removesuffix("-dirty") == asked.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one file, which is the module that asks."""
    monkeypatch.delenv("NOISY_STUDY_COMMIT", raising=False)
    file = tmp_path / "provenance.py"
    file.write_text("first\n")
    for words in (["init", "-q"], ["add", file.name], [*_AS_SOMEBODY, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    monkeypatch.setattr(provenance, "__file__", str(file))
    return file


_AS_SOMEBODY = ["-c", "user.name=somebody", "-c", "user.email=somebody@localhost"]


def test_says_where_files_differ_from_the_commit(checkout: Path) -> None:
    commit = provenance.git_commit()
    assert commit is not None
    assert len(commit) == 40
    checkout.write_text("second\n")
    assert provenance.git_commit() == f"{commit}-dirty"


def test_ignores_a_surrounding_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is not that of a checkout in which the package merely lies."""
    installed = checkout.parent / ".venv" / "provenance.py"
    installed.parent.mkdir()
    installed.write_text("first\n")
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert provenance.git_commit() is None
