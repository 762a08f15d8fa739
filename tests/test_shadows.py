"""A user's file with the name of one of our packages is refused in one line, and harms no worker."""

from pathlib import Path

import pytest
from support.wheel import ROOT, installed_wheel, python_with

from study.errors import UserError
from study.shadows import refuse_shadows, refuse_shadows_in

STUDY = """
name: shadowed
data: {name: digits}
teachers: [{network: FC10, train: {epochs: 1}}]
student: {network: FC10}
train: {epochs: 1}
arms: [{method: noisy_teacher, sigma: 0.3}]
seeds: [0]
resources: {workers: 1}
"""
HARMFUL = "from pathlib import Path\nPath(__file__).with_suffix('.imported').touch()\n"
"""Leaves a trace where it is imported."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an ordinary installation of this package: from a wheel, not editable."""
    return installed_wheel(tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("name", ["models.py", "search_spaces/__init__.py"])
def test_a_script_beside_such_a_file_ends_with_one_line(installed: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("", encoding="utf-8")
    (tmp_path / "script.py").write_text("from study import run\n", encoding="utf-8")
    ran = python_with(installed, tmp_path, "script.py")
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"study.errors.UserError: {file} hides the package")
    assert "rename that file or folder" in last


def test_a_namespace_folder_hides_nothing(installed: Path, tmp_path: Path) -> None:
    """Python takes a regular package before a folder without `__init__.py`, wherever on the path it lies."""
    (tmp_path / "models").mkdir()
    (tmp_path / "script.py").write_text("from study import run\n", encoding="utf-8")
    assert python_with(installed, tmp_path, "script.py").returncode == 0


@pytest.mark.slow
def test_workers_never_import_such_a_file(installed: Path, tmp_path: Path) -> None:
    for name in ("models.py", "search_spaces.py", "study.py"):
        (tmp_path / name).write_text(HARMFUL, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(STUDY, encoding="utf-8")
    # As the installed command does, Python leaves the working folder off the driver's own path.
    program = "import sys; sys.path.remove(''); from study.terminal.entry import main; main()"
    ran = python_with(installed, tmp_path, "-c", program, "run", "mine.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "shadowed: improvement over the baseline" in ran.stdout
    assert not list(tmp_path.glob("*.imported"))


def test_the_command_beside_such_a_file_ends_with_one_line(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "models.py").touch()
    program = "from study.terminal.entry import main; main()"
    ran = python_with(installed, tmp_path, "-c", program, "ls")
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"{tmp_path / 'models.py'} hides the package `models`")


def test_our_own_packages_are_no_shadows() -> None:
    refuse_shadows()
    refuse_shadows_in(ROOT)


@pytest.mark.parametrize("name", ["study.py", "models.py", "search_spaces/__init__.py"])
def test_a_folder_that_workers_would_import_from_is_refused(tmp_path: Path, name: str) -> None:
    """What is checked where Ray's private parts are not those that keep the folder off the workers' path."""
    refuse_shadows_in(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="hides the package"):
        refuse_shadows_in(tmp_path)
