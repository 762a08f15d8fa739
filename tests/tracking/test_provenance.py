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
    assert provenance.git_commit() == (asked.stdout.strip() or None)
