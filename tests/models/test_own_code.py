"""Which files belong to a reference to the user's code, their digest, and copies of them."""

from pathlib import Path

import pytest

from models import own_code
from models.own_code import OwnCodeError, beside, copies_in, copies_of, is_own, load, located


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(folder: Path, **files: str) -> None:
    """Python files by their names; two underscores stand for a slash, and `init` for `__init__`."""
    for name, text in files.items():
        *above, stem = name.split("__")
        file = folder.joinpath(*above, f"{stem}.py".replace("init.py", "__init__.py"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _keep(reference: str, folder: Path) -> None:
    for copy, file in copies_of(located(reference)).items():
        (folder / copy).parent.mkdir(parents=True, exist_ok=True)
        (folder / copy).write_bytes(file.read_bytes())


@pytest.mark.parametrize("reference", ["mine.py:Net", "../a b/mine.py:Net", "/x/mine.py:net_2", "package.module:Net"])
def test_these_are_references(reference: str) -> None:
    assert is_own(reference)


@pytest.mark.parametrize(
    "reference", ["nin", "FC10", "torchvision:resnet18", "mine.py", "mine.py:", "a:b c", "mine.py:1"]
)
def test_these_are_not(reference: str) -> None:
    assert not is_own(reference)


def test_what_a_file_imports_from_its_folder_belongs_to_it(here: Path) -> None:
    _write(
        here,
        mine="import os, layers\nfrom package import part\n\n\ndef late():\n    import helper\n",
        layers="from package.deep.inner import X\n",
        helper="",
        other="",
        package__init="",
        package__part="from . import sibling\n",
        package__sibling="",
        package__deep__init="",
        package__deep__inner="X = 1\n",
        package__unused="",
    )
    files = {str(file) for file in located("mine.py:late").files}
    parts = {"__init__.py", "part.py", "sibling.py", "deep/__init__.py", "deep/inner.py"}
    assert files == {"mine.py", "layers.py", "helper.py"} | {f"package/{part}" for part in parts}


def test_the_digest_follows_every_file_of_a_reference(here: Path) -> None:
    _write(here, mine="import layers\nX = layers.X\n", layers="X = 1\n", other="")
    before = located("mine.py:X").digest
    _write(here, other="# edited\n")
    assert located("mine.py:X").digest == before
    _write(here, layers="X = 2\n")
    assert located("mine.py:X").digest != before


def test_a_copy_is_used_where_there_is_one(here: Path) -> None:
    _write(here, mine="import layers\nX = layers.X\n", layers="X = 1\n")
    _keep("mine.py:X", here / "copies")
    digest = located("mine.py:X").digest
    _write(here, mine="X = 'edited'\n", layers="X = 'edited'\n", new="X = 7\n")
    with copies_in(here / "copies"):
        assert load("mine.py:X") == 1
        assert located("mine.py:X").digest == digest
        assert load("new.py:X") == 7
    assert load("mine.py:X") == "edited"


def test_two_studies_may_have_modules_of_one_name(here: Path) -> None:
    for value, folder in enumerate(("one", "two")):
        _write(here / folder, mine="from helper_of_mine import X\n", helper_of_mine=f"X = {value}\n")
    assert [load(f"{folder}/mine.py:X") for folder in ("one", "two", "one")] == [0, 1, 0]


def test_files_outside_the_working_folder_have_copies_apart(here: Path) -> None:
    _write(here / "outside", mine="X = 1\n")
    _write(here / "inside", mine="X = 2\n")
    reference = f"{here / 'outside' / 'mine.py'}:X"
    _keep(reference, here / "copies")
    with copies_in(here / "copies"):
        (here / "outside" / "mine.py").unlink()
        assert load(reference) == 1
        assert load("inside/mine.py:X") == 2


def test_a_module_keeps_its_relative_imports(here: Path) -> None:
    _write(here, ours__init="", ours__nets="from .parts import X\n", ours__parts="X = 5\n")
    assert load("ours.nets:X") == 5
    assert {str(file) for file in located("ours.nets:X").files} == {"ours/nets.py", "ours/__init__.py", "ours/parts.py"}
    _keep("ours.nets:X", here / "copies")
    _write(here, ours__parts="X = 6\n")
    with copies_in(here / "copies"):
        assert load("ours.nets:X") == 5


def test_a_file_lies_beside_the_study_file_or_in_the_working_folder(here: Path) -> None:
    _write(here / "studies", mine="")
    assert beside("mine.py:Net", here / "studies") == "studies/mine.py:Net"
    assert beside("mine.py:Net", Path("studies")) == "studies/mine.py:Net"
    assert beside("other.py:Net", Path("studies")) == "other.py:Net"
    assert beside("nin", Path("studies")) == "nin"
    with pytest.raises(OwnCodeError, match=r"other\.py: no such file beside the study file or in the working folder"):
        located("other.py:Net")


def test_code_that_ends_the_process_when_it_is_imported(here: Path) -> None:
    _write(here, mine="raise SystemExit(3)\n")
    with pytest.raises(OwnCodeError, match=r"mine.py cannot be imported: SystemExit: 3 \(mine.py, line 1\)"):
        load("mine.py:Net")


def test_a_name_that_is_too_long_is_no_file(here: Path) -> None:
    for reference in (f"{'a' * 999}.py:Net", f"{'a' * 999}:Net"):
        with pytest.raises(OwnCodeError, match=r"no such file|no module named"):
            located(reference)
        assert beside(reference, here) == reference


def test_an_unknown_module_is_one_line(here: Path) -> None:
    with pytest.raises(
        OwnCodeError, match=r"no module named absent\.nets in the working folder or among the installed"
    ):
        own_code.located("absent.nets:Net")
