"""`noisy-study ui --auth`: what the user `study` may do, as whom studies log in."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from support.study_ui import ServedUi, served_ui

from study.results.artifacts import read_study_file
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

ADMIN, STUDY = "password-of-admin", "password-of-study"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedUi]:
    passwords = {"MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN, "NOISY_STUDY_USER_PASSWORD": STUDY}
    with served_ui(tmp_path_factory.mktemp("login"), "--auth", **passwords) as served:
        yield served


@pytest.fixture
def as_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "study")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", STUDY)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # the machine may be busy with other tests


def _asks(ui: ServedUi, path: str, user: str, password: str) -> int:
    return requests.get(f"{ui.address}/api/2.0/mlflow/{path}", auth=(user, password), timeout=120).status_code


@pytest.mark.usefixtures("as_study")
def test_a_study_is_tracked_by_the_user_study(ui: ServedUi) -> None:
    """An experiment with runs, tags and artifacts, and a registered model: what a study writes."""
    client = TrackingClient(ui.address, "mine")
    client.apply([StudyBegan(study_file="name: mine\n", params={"dataset": "digits"}, tags={})])
    run = client.find_study()
    assert run is not None
    assert read_study_file(ui.address, run) == "name: mine\n"
    registry = mlflow.MlflowClient(ui.address, ui.address)
    registry.create_registered_model("mine-student")
    registry.set_registered_model_tag("mine-student", "from", "mine")


def test_the_user_study_administers_nothing(ui: ServedUi) -> None:
    assert _asks(ui, "users/get?username=admin", "admin", ADMIN) == 200
    assert _asks(ui, "users/get?username=admin", "study", STUDY) == 403
    assert _asks(ui, "users/get?username=study", "study", STUDY) == 200
    assert _asks(ui, "users/get?username=study", "study", ADMIN) == 401
    new = {"username": "more", "password": "password-of-more"}
    url = f"{ui.address}/api/2.0/mlflow/users/create"
    assert requests.post(url, json=new, auth=("study", STUDY), timeout=120).status_code == 403
    assert _asks(ui, "experiments/search?max_results=1", "study", STUDY) == 200


@pytest.mark.usefixtures("as_study")
def test_a_user_names_no_place_outside_the_store(ui: ServedUi, tmp_path: Path) -> None:
    with pytest.raises(MlflowException, match="outside of this server's store"):
        mlflow.MlflowClient(ui.address).create_experiment("elsewhere", artifact_location=str(tmp_path))


def test_a_login_has_no_token(ui: ServedUi) -> None:
    assert ui.token is None
    assert not list(ui.said.parent.glob(".noisy-study/ui-*.token"))
    assert (ui.said.parent / "basic_auth.db").stat().st_mode & 0o077 == 0
