"""The wheel has all that the command needs: it is built, installed, and used from a folder that is not the checkout."""

import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml
from support.wheel import ROOT, installed_wheel, python_with

from search_spaces.library import recipe_names
from study.config import parse_study

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMMAND = "import study, sys; sys.argv[0] = 'noisy-study'; assert '{packages}' in study.__file__, study.__file__\n"
COMMAND += "from study.terminal.entry import main; main()"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_wheel(tmp_path_factory.mktemp("wheel"))


def _printed(packages: Path, folder: Path, *words: str) -> str:
    ran = python_with(packages, folder, "-c", COMMAND.format(packages=packages), *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_command_works_from_another_folder(packages: Path, tmp_path: Path) -> None:
    assert _printed(packages, tmp_path, "--version").strip() == PROJECT["version"]
    listed = _printed(packages, tmp_path, "ls")
    assert all(name in listed for name in recipe_names())
    _printed(packages, tmp_path, "cp", "quickstart", "mine.yaml")
    printed = _printed(packages, tmp_path, "validate", "mine.yaml", "--set", "name=mine")
    assert parse_study(printed, "what validate prints").name == "mine"
    shown = _printed(packages, tmp_path, "net", "digits-fc32", "--teacher", "digits-cnn")
    assert "fewer multiplications than digits-cnn" in shown


def test_the_wheel_has_recipes_template_and_type_marks(packages: Path) -> None:
    recipes = {file.stem for file in (packages / "search_spaces/recipes").glob("*.yaml")}
    assert recipes == set(recipe_names())
    assert all(yaml.safe_load(file.read_text("utf-8")) for file in (packages / "search_spaces/recipes").glob("*.yaml"))
    for name in ("study/py.typed", "models/py.typed", "study/results/report.html.j2"):
        assert (packages / name).is_file(), name
    for package in ("study", "models", "search_spaces"):
        sources = {file.relative_to(ROOT) for file in (ROOT / package).rglob("*.py")}
        assert sources == {file.relative_to(packages) for file in (packages / package).rglob("*.py")}


def test_the_metadata_of_the_wheel_name_what_is_tested(packages: Path) -> None:
    (wheel,) = packages.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        read = message_from_bytes(archive.read(metadata))
        top = {name.split("/")[0] for name in archive.namelist()}
    assert read["Requires-Python"] == PROJECT["requires-python"]
    assert read.get_all("Classifier") == PROJECT["classifiers"]
    assert {name for name in top if not name.endswith(".dist-info")} == {"study", "models", "search_spaces"}
