"""What a person meets at the prompt: names completed by the shell, tables on terminals of any width."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.library import recipe_names

NOISY_STUDY = Path(sys.executable).with_name("noisy-study")

COMPLETES = """
eval "$(noisy-study --show-completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_noisy_study_completion noisy-study
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers where the last of the words is being typed."""
    path = f"{NOISY_STUDY.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(shutil.which("bash")), "--norc", "-c", COMPLETES, "bash", "noisy-study", *words]
    asked = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    return asked.stdout.split()


def test_bash_completion_offers_known_names(workspace: Path) -> None:
    """Bash completes commands, recipes and the studies of this folder."""
    for name in ("mine", "mine-again", "other"):
        (workspace / ".noisy-study" / "studies" / name).mkdir(parents=True)
        (workspace / ".noisy-study" / "studies" / name / "study.yaml").touch()
    assert completed(workspace, "sta") == ["status"]
    for command in ("run", "validate", "cp", "submit"):
        assert completed(workspace, command, "mnist-s") == ["mnist-search", "mnist-stetsenko"]
    for command in ("resume", "status", "table", "report", "export", "sync"):
        assert completed(workspace, command, "mine") == ["mine", "mine-again"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_recipes_are_listed_whole_on_a_terminal_of_any_width(workspace: Path, width: int) -> None:
    listed = subprocess.run(
        [NOISY_STUDY, "ls"],
        cwd=workspace,
        env={**os.environ, "COLUMNS": str(width)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = listed.stdout.splitlines()
    assert max(map(len, lines)) <= width
    firsts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert firsts == ["recipe", *recipe_names()]


def test_what_is_piped_is_not_cut(workspace: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    listed = subprocess.run(
        [NOISY_STUDY, "ls"], cwd=workspace, env=environment, capture_output=True, text=True, check=True
    )
    assert listed.stdout.splitlines()[0].split() == [
        "recipe",
        "dataset",
        "teachers",
        "students",
        "trials",
        "reproduces",
    ]
    assert listed.stderr == ""
