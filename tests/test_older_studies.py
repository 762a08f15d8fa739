"""Studies made before keys and format versions (commit c885df9): their tables can be read, a resume is refused.

`fixtures/folder-format-0.tar.xz` is such a study: its tracking store, its folder, and its table as JSON as that commit
printed it. It has two teachers of one network, an arm that learns from labels, a grid and a search.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

STORED = Path(__file__).parent / "fixtures" / "folder-format-0.tar.xz"
NAME = "before-keys"
STUDY = f"""
name: {NAME}
data: {{name: digits}}
teachers: [{{network: digits-cnn}}]
student: {{network: digits-fc32}}
arms: [{{method: noisy_teacher, sigma: 0.3}}]
"""
COLUMNS = ("student", "teacher", "method", "sigma", "alpha", "stage", "n", "test_error_mean", "compression_ratio")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(STORED) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def _noisy_study(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from study.terminal.cli import main; main()", *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)


def test_the_table_of_an_older_study_is_what_it_was(folder: Path) -> None:
    ran = _noisy_study("table", NAME, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    before, now = json.loads((folder / "table-before.json").read_text()), json.loads(ran.stdout)
    assert [[row[name] for name in COLUMNS] for row in now["rows"]] == [
        [row[name] for name in COLUMNS] for row in before["rows"]
    ]


@pytest.mark.parametrize("words", [("resume", NAME), ("run", "study.yaml", "--resume")])
def test_an_older_study_is_not_resumed(folder: Path, words: tuple[str, ...]) -> None:
    """The folder's version is the reason given, whatever else is wrong with its study file today."""
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    files = sorted(str(path) for path in folder.rglob("*"))
    ran = _noisy_study(*words)
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert "made by another version of this package" in line
    assert "start it again under another name" in line
    assert sorted(str(path) for path in folder.rglob("*")) == files, "nothing was made"
