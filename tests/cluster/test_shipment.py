"""The files that are sent to a cluster with a study file."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search_spaces.library import recipe_text
from study.cluster.shipment import STUDY_FILE, pack
from study.config import StudyConfig, dump_study, parse_study
from study.errors import UserError


def quickstart(**changes: Any) -> StudyConfig:
    return parse_study(
        recipe_text("quickstart-search"), "quickstart-search", [f"{key}={value}" for key, value in changes.items()]
    )


def with_weights(name: str) -> StudyConfig:
    return quickstart(**{"teachers.0": f"{{network: digits-cnn, weights: {name}}}"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that Python looks for modules in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


SPACE = "from search_spaces.spaces import sigma_alpha as narrow\n"


@pytest.fixture
def mine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the working folder, imported."""
    (folder / "spaces_of_mine.py").write_text(SPACE, encoding="utf-8")
    importlib.import_module("spaces_of_mine")
    yield "spaces_of_mine"
    monkeypatch.delitem(sys.modules, "spaces_of_mine")


def test_the_study_is_sent_with_its_defaults(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    study = quickstart(**{"train.epochs": 7})
    shipment = pack(study, folder)
    shipment.write(there := tmp_path_factory.mktemp("there"))
    assert [file.name for file in there.iterdir()] == [STUDY_FILE]
    assert parse_study((there / STUDY_FILE).read_text(), "there") == study
    assert shipment.notes == ()


def test_weights_beside_the_study_are_sent_with_their_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "nin.safetensors").write_bytes(b"weights")
    study = with_weights("weights/nin.safetensors")
    pack(study, folder).write(there := tmp_path_factory.mktemp("there"))
    assert (there / "weights" / "nin.safetensors").read_bytes() == b"weights"
    assert (there / STUDY_FILE).read_text() == dump_study(study)


def test_weights_of_nested_teachers_are_sent(folder: Path) -> None:
    """The weights of an arm's teacher and of that teacher's own teacher are sent."""
    for name in ("arm", "own"):
        (folder / f"{name}.safetensors").touch()
    assistant = "{network: FC16-FC10, teachers: [{network: FC32-FC10, weights: own.safetensors}]}"
    teachers = f"[{{network: FC32-FC10, weights: arm.safetensors}}, {assistant}]"
    study = quickstart(**{"arms.0.teachers": teachers})
    assert {str(name) for name in pack(study, folder).files} == {"arm.safetensors", "own.safetensors"}


def test_absolute_weights_are_not_sent_and_are_named(folder: Path) -> None:
    shipment = pack(with_weights("/models/nin.safetensors"), folder)
    assert not shipment.files
    assert shipment.notes == ("weights /models/nin.safetensors are not sent: every node must have them at this path",)


def test_weights_outside_the_folder_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"weights \.\./nin\.safetensors cannot be sent"):
        pack(with_weights("../nin.safetensors"), folder)


def test_a_space_s_module_is_sent(folder: Path, mine: str) -> None:
    shipment = pack(quickstart(**{"search.space": f"{mine}:narrow"}), folder)
    assert shipment.files == {Path("spaces_of_mine.py"): folder / "spaces_of_mine.py"}


def test_a_space_s_package_is_sent_with_its_modules(folder: Path) -> None:
    (folder / "package_of_mine" / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/spaces.py", "helpers.py"):
        (folder / "package_of_mine" / name).write_text(SPACE, encoding="utf-8")
    importlib.import_module("package_of_mine.inner.spaces")
    files = pack(quickstart(**{"search.space": "package_of_mine.inner.spaces:narrow"}), folder).files
    assert {str(name) for name in files} == {
        f"package_of_mine/{name}" for name in ("__init__.py", "inner/__init__.py", "inner/spaces.py", "helpers.py")
    }


def test_an_installed_space_is_not_sent_and_is_named(folder: Path) -> None:
    shipment = pack(quickstart(**{"search.space": "search_spaces.spaces:sigma_alpha"}), folder)
    assert not shipment.files
    assert "search_spaces.spaces must be installed on the cluster" in shipment.notes[0]


def test_images_are_not_sent_and_are_named(folder: Path) -> None:
    shipment = pack(quickstart(data="{name: image_folder, path: pictures}"), folder)
    assert not shipment.files
    assert "NOISY_STUDY_DATA" in shipment.notes[0]


def test_own_code_is_sent_with_what_it_imports(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "nets").mkdir()
    (folder / "nets" / "mine.py").write_text("import part_of_mine\n", encoding="utf-8")
    (folder / "nets" / "part_of_mine.py").write_text("", encoding="utf-8")
    pack(quickstart(**{"student.network": "nets/mine.py:Net"}), folder).write(there := tmp_path_factory.mktemp("there"))
    assert {file.name for file in (there / "nets").iterdir()} == {"mine.py", "part_of_mine.py"}


def test_own_code_outside_the_folder_cannot_be_sent(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("elsewhere") / "mine.py"
    file.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"code .*mine\.py cannot be sent to the cluster: copy it into this folder"):
        pack(quickstart(**{"student.network": f"{file}:Net"}), folder)
