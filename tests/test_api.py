"""Studies in a notebook: the example is executed, and what it calls gives frames and modules."""

from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
import torch
from nbclient import NotebookClient

import study
from study.errors import UserError
from study.running.watcher import Watcher
from study.stages import GRID
from study.storage import DEFAULT_ROOT, StudyFolder

NOTEBOOK = Path(__file__).parents[1] / "examples" / "study-in-a-notebook.ipynb"


def _notebook() -> Any:
    return nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The example, executed from top to bottom in an empty folder, and that folder."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "OPTUNA_STORAGE", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        notebook = _notebook()
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
        client.execute()
    return folder, notebook


@pytest.fixture
def here(executed: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the example ran in, as the working folder."""
    for name in ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(executed[0])
    return executed[0]


def test_the_example_runs_to_its_end(executed: tuple[Path, Any]) -> None:
    outputs = {cell.id: cell.outputs for cell in executed[1].cells if cell.cell_type == "code"}
    assert all(output.output_type != "error" for of_cell in outputs.values() for output in of_cell)
    said = "".join(output.get("text", "") for output in outputs["cell-3"])
    assert "stage grid: 4 trials" in said
    assert "the best student: toy-student version 1, champion" in said


def test_the_example_is_kept_without_outputs() -> None:
    cells = [cell for cell in _notebook().cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.usefixtures("here")
def test_a_table_is_a_frame_with_its_notes() -> None:
    made = study.table("toy")
    assert list(made["role"]) == ["baseline", "arm"]
    assert made["test_error_mean"].between(0, 1).all()
    assert made.attrs["baseline_kind"] == "default settings"
    assert any("95 %" in note for note in made.attrs["notes"])
    pd.testing.assert_frame_equal(study.load_study("toy").table(), made)


@pytest.mark.usefixtures("here")
def test_runs_are_a_frame_with_numbers_where_they_are_numbers() -> None:
    runs = study.load_study("toy").runs
    assert len(runs) == 4
    assert runs["params.sigma"].dtype == float
    assert runs["params.seed"].tolist() == [0, 1, 0, 1]
    assert set(runs["params.method"]) == {"logit_regression", "noisy_teacher"}
    assert len(study.load_study("toy").teachers) == 1


@pytest.mark.usefixtures("here")
def test_curves_have_epochs_as_rows_and_trials_as_columns() -> None:
    curves = study.load_study("toy").curves()
    assert list(curves.index) == [1, 2, 3]
    assert set(curves.columns) == set(study.load_study("toy").runs["run_id"])


@pytest.mark.usefixtures("here")
def test_the_student_takes_raw_images_and_is_at_rest() -> None:
    student = study.load_study("toy").student()
    assert not student.training
    assert student(torch.zeros(3, 1, 8, 8, dtype=torch.uint8)).shape == (3, 10)


@pytest.mark.usefixtures("here")
def test_the_study_file_is_the_one_it_ran_with() -> None:
    config = study.load_study("toy").config
    assert (config.name, config.seeds, config.train.epochs) == ("toy", (0, 1), 3)
    assert config.search is None


@pytest.mark.usefixtures("here")
def test_a_study_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"there is no study `toyy`.*did you mean `toy`"):
        study.load_study("toyy")


@pytest.mark.usefixtures("here")
def test_a_mistake_in_an_override_names_the_key() -> None:
    with pytest.raises(UserError, match=r"train\.epochs"):
        study.run("quickstart", name="wrong", train__epochs=0)


@pytest.mark.usefixtures("here")
def test_a_name_belongs_to_one_study() -> None:
    with pytest.raises(UserError, match="a study named toy already exists"):
        study.run(study.load_study("toy").config)


@pytest.mark.usefixtures("here")
def test_a_notebook_resumes_an_interrupted_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt comes after the teacher was trained and before the first student."""

    def interrupted(watcher: Watcher, name: str, total: int, done: int, workers: int) -> None:
        if name == GRID:
            raise KeyboardInterrupt

    config = study.load_study("toy").config
    with monkeypatch.context() as patch:
        patch.setattr("study.api._Logged.stage_begins", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.run(config, name="halted", seeds=[0])
    folder = StudyFolder(DEFAULT_ROOT, "halted")
    assert folder.exists()
    assert not list(folder.path.glob("trials/grid*"))
    resumed = study.resume("halted")
    assert (resumed.status, len(resumed.teachers), len(resumed.runs)) == ("FINISHED", 1, 2)
    assert resumed.table()["test_error_mean"].between(0, 1).all()


@pytest.mark.usefixtures("here")
def test_only_a_study_of_this_folder_can_be_resumed() -> None:
    with pytest.raises(UserError, match=r"no study named toyy in .*did you mean `toy`"):
        study.resume("toyy")


def test_the_package_has_what_it_says_and_nothing_else() -> None:
    assert set(study.__all__) == {"Study", "compare", "extend", "load_study", "resume", "run", "table"}
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        study.walk  # noqa: B018
