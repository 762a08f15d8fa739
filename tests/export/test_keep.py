"""What a finished study leaves on its tracking server; none of it can make the study fail."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.ran import Ran, ran_study, small_study

from study.export.keep import keep_results
from study.results.description import NOTE
from study.tracking import schema

pytest_plugins = ("support.ran",)


@pytest.fixture(scope="module")
def kept(ran_folder: Path) -> tuple[Ran, list[str]]:
    config = small_study(name="kept", seeds=[0], arms=[{"method": "noisy_teacher", "sigma": 0.3}])
    ran = ran_study(config, ran_folder, ran_folder)
    return ran, keep_results(ran.uri, ran.tracked, ran.root, ran.data_root, ran.dataset)


def test_verdict_and_table_are_kept_on_the_runs(kept: tuple[Ran, list[str]]) -> None:
    """The verdict and the table stand on the experiment and on the parent run."""
    ran, _ = kept
    client = MlflowClient(ran.uri)
    experiment = client.get_experiment_by_name(ran.name)
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`{schema.KIND}` = 'study'")
    note = experiment.tags[NOTE]
    assert note == parent.data.tags[NOTE]
    assert "| logit regression (baseline) |" in note
    assert "There is no verdict yet" in note


def test_the_parent_run_has_the_report_and_its_figures(kept: tuple[Ran, list[str]]) -> None:
    ran, _ = kept
    client = MlflowClient(ran.uri)
    experiment = client.get_experiment_by_name(ran.name)
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`{schema.KIND}` = 'study'")
    files = {file.path for file in client.list_artifacts(parent.info.run_id, "report")}
    assert "report/index.html" in files
    assert any(file.endswith(".svg") for file in files)
    assert any(file.endswith(".png") for file in files)


def test_the_best_student_is_registered_in_one_line(kept: tuple[Ran, list[str]]) -> None:
    assert kept[1] == ["the best student: kept-student version 1, champion"]


def test_what_cannot_be_kept_is_one_line_and_the_rest_is_kept(kept: tuple[Ran, list[str]], tmp_path: Path) -> None:
    ran, _ = kept
    shutil.copytree(ran.root / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("*.safetensors"))
    (line,) = keep_results(ran.uri, ran.tracked, tmp_path, ran.data_root, ran.dataset)
    assert line.startswith("the best student is not registered: the weights of kept's best student are not on this")
