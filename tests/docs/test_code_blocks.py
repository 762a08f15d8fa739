"""Every block of code on the pages is checked: commands are parsed, Python runs, study files are read.

`test_examples.py` reads the study files, `test_own_code_examples.py` and `test_contributing.py` use the marked
examples, `test_tutorial.py` runs the tutorial, and `tests/test_notebooks.py` the example of docs/api.md.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pytest
import torchvision
import typer
import yaml
from mlflow import MlflowClient
from optuna.trial import FixedTrial
from PIL import Image
from support.handwritten import Writer

from search_spaces.library import recipe_text
from study.config import ArmConfig, DataConfig, StudyConfig, parse_study
from study.data import load_dataset
from study.terminal.cli import app

GENERATED = ("reference", "generated")
"""Folders of pages made from the code; earlier versions made the second one."""

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docker/README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name not in GENERATED),
]
OTHERS = {
    *("apt-get", "aws", "cat", "cd", "chmod", "cp", "curl", "docker", "export", "gcloud", "git", "grep", "install"),
    *("kubectl", "ln", "mkdir", "mlflow", "npm", "openssl", "pip", "pipx", "pytest", "python", "python3", "ray"),
    *("rm", "sed", "source", "tar", "unzip"),
}
"""Programs that are not ours."""


class Block(NamedTuple):
    page: str
    line: int
    mark: str
    language: str
    text: str


def _blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^(?:<!-- ([^\n]*) -->\n)?( *)```(\S*)\n(.*?)^\2```$", text, flags=re.M | re.S):
            body = re.sub(rf"^{found[2]}", "", found[4], flags=re.M)
            name = str(page.relative_to(ROOT))
            yield Block(name, text[: found.start()].count("\n") + 1, found[1] or "", found[3], body)


BLOCKS = list(_blocks())


def _of(*languages: str) -> list[Any]:
    return [pytest.param(block, id=f"{block.page}-{block.line}") for block in BLOCKS if block.language in languages]


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """`text` is for output and formulas: what a reader could type is of another kind."""
    checked = {"sh", "console", "yaml", "python", "text", "bibtex", "{toctree}", "{eval-rst}"}
    assert [block for block in BLOCKS if block.language not in checked] == []
    assert not [
        block for block in BLOCKS if block.language == "text" and block.text.startswith(("noisy-study ", "make "))
    ]


def _commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, also those in `$(…)`, without variables in front of them."""
    text = re.sub(r"\\\n", " ", text)
    inside = re.findall(r"\$\(([^)]*)\)", text)
    for line in [*re.sub(r"\$\([^)]*\)", "VALUE", text).splitlines(), *inside]:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.wordchars += "$:@,[]{}%+…"
        words: list[str] = []
        to_file = False
        for word in [*lexer, ";"]:
            if word in (">", ">>", "<"):
                to_file = True
            elif set(word) <= set(";&|()"):
                if words:
                    yield words
                words = []
            elif to_file:
                to_file = False
            elif words or not re.match(r"[A-Z_]+=", word):
                words.append(word)


def _parse(words: list[str]) -> None:
    """Parse a command of ours as the terminal does, and do not run it."""
    group = typer.main.get_group(app)
    if words[0].startswith("-"):
        group.make_context("noisy-study", words, resilient_parsing=True)
        return
    assert words[0] in group.commands, words[0]
    context = group.commands[words[0]].make_context(words[0], words[1:])
    assert context.args == []


@pytest.mark.parametrize("block", _of("sh"))
def test_the_commands_of_a_block_can_be_parsed(block: Block) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    found = list(_commands(block.text))
    assert found
    for words in found:
        program = Path(words[0]).name
        if program == "noisy-study":
            _parse(words[1:])
        elif program == "make":
            assert {word for word in words[1:] if "=" not in word} <= set(targets)
        else:
            assert program in OTHERS, words


@pytest.mark.parametrize("block", _of("console"))
def test_a_shown_command_prints_what_the_page_says(block: Block, workspace: Path) -> None:
    (workspace / "mine.yaml").write_text(recipe_text("quickstart"), encoding="utf-8")
    command, *printed = block.text.splitlines()
    words = shlex.split(command.removeprefix("$ "))
    words[0] = str(Path(sys.executable).with_name(words[0]))
    ran = subprocess.run(words, cwd=workspace, capture_output=True, text=True, check=False)
    assert (ran.stdout + ran.stderr).splitlines() == printed


@pytest.mark.parametrize("block", _of("yaml"))
def test_a_block_of_yaml_is_a_study_file(block: Block) -> None:
    """`test_examples.py` takes the blocks whose keys are those of a study file: these are all."""
    assert yaml.safe_load(block.text).keys() <= StudyConfig.model_fields.keys()


def _pandas(block: Block, workspace: Path) -> dict[str, Any]:
    study = Writer(MlflowClient("sqlite:///mlflow.db"), "quickstart")
    study.baseline({0: 0.10, 1: 0.10})
    study.arm({0: 0.08, 1: 0.10}, sigma=0.5, alpha=0.2)
    names: dict[str, Any] = {}
    exec(block.text, names)
    assert names["improvement"].round(6).to_dict() == {("0.5", "0.2"): 10.0}
    return names


def _space(block: Block, workspace: Path) -> None:
    names: dict[str, Any] = {}
    exec(block.text, names)
    (space,) = [value for name, value in names.items() if callable(value) and not isinstance(value, type)]
    study = parse_study(recipe_text("quickstart-search"), "quickstart-search")
    assert isinstance(space(FixedTrial({"sigma": 0.5}), study), ArmConfig)


def _storage(block: Block, workspace: Path) -> None:
    folder = workspace / ".noisy-study/studies/mine"
    folder.mkdir(parents=True)
    optuna.create_study(study_name="mine.search", storage=f"sqlite:///{folder / 'journal.db'}")
    names: dict[str, Any] = {"optuna": optuna}
    exec(f"study = {block.text}", names)
    assert names["study"].study_name == "mine.search"


class _Cifar10(list[tuple[Image.Image, int]]):
    """Twelve grey pictures of three classes in place of torchvision's data set."""

    classes = ("cat", "dog", "ship")

    def __init__(self, root: str, train: bool, download: bool):
        assert download
        super().__init__((Image.new("RGB", (32, 32), (20 * at,) * 3), at % 3) for at in range(12 if train else 6))


def _jpeg(block: Block, workspace: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.datasets, "CIFAR10", _Cifar10)
        exec(block.text, {})
    names = {str(path.relative_to(workspace / "data/cifar10-jpeg")) for path in workspace.rglob("*.jpg")}
    assert len(names) == 18
    assert {"train/cat/0000.jpg", "train/cat/0003.jpg", "test/ship/0001.jpg"} <= names
    data = load_dataset(DataConfig(name="image_folder", path="data/cifar10-jpeg", validation=3), workspace)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [9, 3, 6]
    assert data.classes == _Cifar10.classes


def _pictures(block: Block, workspace: Path) -> None:
    exec(block.text, {})
    assert len({path.parent for path in workspace.glob("pictures/*/*.png")}) == 10


PYTHON: dict[str, Callable[[Block, Path], Any]] = {
    "import mlflow": _pandas,
    "from study.config import ArmConfig": _space,
    "optuna.load_study(": _storage,
    "from pathlib import Path\n\nfrom PIL": _pictures,
    "from pathlib import Path\n\nfrom torchvision": _jpeg,
}
"""How the blocks without a mark are run, by their first words."""

UNMARKED = [given for given in _of("python") if not given.values[0].mark and given.values[0].page != "docs/api.md"]


@pytest.mark.parametrize("block", UNMARKED)
def test_a_block_of_python_runs(block: Block, workspace: Path) -> None:
    (run,) = [run for first, run in PYTHON.items() if block.text.startswith(first)]
    run(block, workspace)


def test_a_marked_block_is_used_by_another_test() -> None:
    marks = {block.mark for block in BLOCKS if block.mark}
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.py"))
    assert marks
    names = {mark.partition(": ")[2] for mark in marks}
    assert [name for name in sorted(names) if not re.search(f"[\"']{re.escape(name)}[\"']", tests)] == []
