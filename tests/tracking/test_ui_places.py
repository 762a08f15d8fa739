"""Which places MLflow's server reads and writes artifacts in."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry, get_artifact_repository
from mlflow.store.tracking.file_store import FileStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from study.errors import StudyFailed
from study.tracking.ui_places import is_within, keep_to_store


def test_a_folder_below_a_place_is_within_it(tmp_path: Path) -> None:
    place = tmp_path / "mlruns" / "1"
    assert is_within(str(place), str(place))
    assert is_within(str(place / "run" / "artifacts"), str(place))
    assert is_within(f"file://{place}/run", str(place))
    assert not is_within(str(tmp_path / "mlruns" / "11"), str(place))
    assert not is_within(str(place / ".." / "2"), str(place))


def test_a_link_leads_out_of_a_place(tmp_path: Path) -> None:
    """A user who can write to the place may put a link there."""
    (tmp_path / "place" / "run").mkdir(parents=True)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "place" / "run" / "artifacts").symlink_to(tmp_path / "home" / ".ssh")
    assert not is_within(str(tmp_path / "place" / "run" / "artifacts"), str(tmp_path / "place"))


def test_a_place_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "mlruns").mkdir(parents=True)
    (tmp_path / "mlruns").symlink_to(tmp_path / "disk" / "mlruns")
    assert is_within(str(tmp_path / "mlruns" / "1"), str(tmp_path / "mlruns"))


@pytest.mark.parametrize(
    ("location", "within"),
    [
        ("s3://bucket/studies/1", True),
        ("s3://bucket/studies", True),
        ("s3://bucket/studies-of-others", False),
        ("s3://other/studies/1", False),
        ("s3://bucket/studies/../secrets", False),
        ("/bucket/studies/1", False),
        ("s3://bucket@evil/studies/1", False),
        ("s3:///bucket/studies/1", False),
    ],
)
def test_an_address_is_within_another_one_by_its_words(location: str, within: bool) -> None:
    assert is_within(location, "s3://bucket/studies") is within


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of a server in this process, which keeps its artifacts in `mlartifacts`, and has one experiment."""
    for of, method in (
        (SqlAlchemyStore, "create_experiment"),
        (FileStore, "create_experiment"),
        (ArtifactRepositoryRegistry, "get_artifact_repository"),
    ):
        monkeypatch.setattr(of, method, getattr(of, method))  # what the test changes is undone
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(tmp_path / "mlartifacts"))
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowClient(uri).create_experiment("ours", artifact_location=str(tmp_path / "mlruns" / "1"))
    keep_to_store(uri)
    return uri


OUTSIDE = ["{}/home", "file://{}/home", "{}/mlartifacts/../home", "s3://bucket/x", "http://127.0.0.1/x", "relative"]


@pytest.mark.parametrize("location", OUTSIDE)
def test_a_server_makes_no_experiment_elsewhere(store: str, tmp_path: Path, location: str) -> None:
    with pytest.raises(MlflowException, match="outside of this server's store"):
        MlflowClient(store).create_experiment("theirs", artifact_location=location.format(tmp_path))
    create: Any = FileStore.create_experiment
    with pytest.raises(MlflowException, match="outside of this server's store"):
        create(None, "theirs", location.format(tmp_path))


@pytest.mark.parametrize("location", [*OUTSIDE, "{}/mlruns/2", "runs:/1/../../x", "mlflow-artifacts://host/1"])
@pytest.mark.usefixtures("store")
def test_a_server_opens_no_place_elsewhere(tmp_path: Path, location: str) -> None:
    """However it got the location: of a run, a model's version, or a trace's tag."""
    with pytest.raises(MlflowException, match="outside of this server's store"):
        get_artifact_repository(location.format(tmp_path))


@pytest.mark.parametrize("location", ["{}/mlruns/1/run/artifacts", "{}/mlartifacts/2", "mlflow-artifacts:/2"])
def test_a_server_opens_its_own_places(store: str, tmp_path: Path, location: str) -> None:
    assert get_artifact_repository(location.format(tmp_path), tracking_uri="http://127.0.0.1")


def test_a_server_opens_what_its_owner_adds_to_the_store(store: str, tmp_path: Path) -> None:
    """A study that begins later, and writes to the database itself."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = ?", (str(tmp_path / "later"),))
    assert get_artifact_repository(str(tmp_path / "later" / "run"))


@pytest.mark.usefixtures("store")
def test_another_mlflow_is_not_started(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStore, "create_experiment", lambda self, request: None)
    with pytest.raises(StudyFailed, match=r"another FileStore\.create_experiment; install MLflow 3\.17"):
        keep_to_store(store)
