"""The tutorial and the README, done as a reader does them: every command and every file, from top to bottom."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SKIPPED = {"make setup", "make quickstart", "make test", "source .venv/bin/activate", "noisy-study ui"}
"""They install, or wait for a browser."""

ELSEWHERE = ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "NOISY_STUDY_ROOT", "OPTUNA_STORAGE", "RAY_ADDRESS")


def _run(command: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment |= {"PATH": f"{BIN}:{environment['PATH']}"}
    ran = subprocess.run(command, cwd=folder, env=environment, shell=True, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}: {ran.stderr}"
    return ran.stdout


def _commands(text: str) -> list[str]:
    lines = [re.sub(r" +#.*", "", line).strip() for line in text.splitlines()]
    return [line for line in lines if line and line not in SKIPPED]


@pytest.mark.slow
def test_the_tutorial_leads_to_a_study_of_ones_own(tmp_path: Path) -> None:
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    printed: dict[str, str] = {}
    for mark, language, block in re.findall(r"^(?:<!-- (\S+: \S+) -->\n)?```(\w+)\n(.*?)^```", text, flags=re.M | re.S):
        if language == "sh":
            printed |= {command: _run(command, tmp_path) for command in _commands(block)}
        elif language == "yaml":  # what the reader changes in the copied recipe
            changed = yaml.safe_load((tmp_path / "mine.yaml").read_text(encoding="utf-8")) | yaml.safe_load(block)
            (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        elif mark == "file: mine.py":
            (tmp_path / "mine.py").write_text(block, encoding="utf-8")
        elif language == "python":
            (tmp_path / "program.py").write_text(block, encoding="utf-8")
            _run(f"{sys.executable} program.py", tmp_path)
    assert "quickstart: improvement over the baseline" in printed["noisy-study run quickstart"]
    (asked,) = [answer for command, answer in printed.items() if command.startswith("noisy-study try ")]
    assert "own: improvement over the baseline" in asked
    assert (tmp_path / "student/MODEL_CARD.md").exists()
    assert (tmp_path / "quickstart-report/index.html").exists()


@pytest.mark.slow
def test_the_study_file_of_the_readme_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.M | re.S)
    assert len(block.splitlines()) == 10
    (tmp_path / "mine.yaml").write_text(block, encoding="utf-8")
    assert "noisy-study run mine.yaml" in text
    printed = _run("noisy-study run mine.yaml", tmp_path)
    assert "mine: improvement over the baseline" in printed
    assert len(re.findall(r"noisy teacher|soft targets", printed.split("\n\n- ")[0])) >= 3
