"""The best student in MLflow's registry: what is logged, which version is champion, and what a server answers."""

import dataclasses
import json
import socket
from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.pyfunc
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from support.mlflow_server import mlflow_server
from support.ran import Ran, ran_study, small_study
from support.serving import answer, served, softmax

from study.errors import UserError
from study.export.registry import CHAMPION, Registered, register_student
from study.export.student import logits_on
from study.export.weights import OpenedStudent
from study.tracking import schema

pytest_plugins = ("support.ran",)


@pytest.fixture(scope="module")
def registered(ran: Ran) -> Registered:
    return register_student(ran.uri, ran.opened())


@pytest.fixture(scope="module")
def client(ran: Ran) -> MlflowClient:
    return MlflowClient(tracking_uri=ran.uri)


def test_the_first_student_is_champion(registered: Registered, client: MlflowClient) -> None:
    assert str(registered) == "small-student version 1, champion"
    assert client.get_model_version_by_alias("small-student", CHAMPION).version in (1, "1")


def test_a_version_says_what_it_is_compared_by(ran: Ran, registered: Registered, client: MlflowClient) -> None:
    choice = ran.opened().choice
    tags = client.get_model_version("small-student", registered.version).tags
    assert float(tags["best_val_error"]) == choice.val_error
    assert tags["data_digest"] == ran.dataset.digest
    assert tags["trial_id"] == choice.trial_id


def test_it_is_an_output_of_the_study_s_run(ran: Ran, registered: Registered, client: MlflowClient) -> None:
    version = client.get_model_version("small-student", registered.version)
    parent = client.get_run(str(version.run_id))
    assert parent.data.tags[schema.KIND] == "study"
    assert parent.outputs is not None
    assert [output.model_id for output in parent.outputs.model_outputs] == [version.tags["model_id"]]
    assert parent.info.status == "FINISHED"


def test_the_logged_model_s_own_page_says_that_it_is_registered(registered: Registered, client: MlflowClient) -> None:
    version = client.get_model_version("small-student", registered.version)
    (said,) = json.loads(client.get_logged_model(version.tags["model_id"]).tags["mlflow.modelVersions"])
    assert (said["name"], str(said["version"])) == ("small-student", "1")


def test_signature_and_input_example_are_raw_images(ran: Ran, registered: Registered) -> None:
    mlflow.set_tracking_uri(ran.uri)
    info = mlflow.models.get_model_info(f"models:/small-student@{CHAMPION}")
    assert info.signature is not None
    assert [(str(spec.type), spec.shape) for spec in info.signature.inputs] == [("uint8", (-1, 1, 8, 8))]
    assert [(str(spec.type), spec.shape) for spec in info.signature.outputs] == [("float32", (-1, 10))]
    assert info.saved_input_example_info is not None
    assert info.metadata == {"classes": list(ran.dataset.classes)}


def test_loading_the_model_runs_no_pickled_code(
    ran: Ran, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(ran.uri)
    opened = ran.opened()
    predicted = mlflow.pyfunc.load_model(f"models:/small-student@{CHAMPION}").predict(opened.images[:7])
    np.testing.assert_allclose(predicted, softmax(logits_on(opened.student, opened.images[:7])), rtol=1e-4, atol=1e-5)


def test_the_same_weights_are_registered_once(ran: Ran, registered: Registered) -> None:
    again = register_student(ran.uri, ran.opened())
    assert (again.version, again.is_new, again.is_champion) == ("1", False, True)


def _other(opened: OpenedStudent, val_error: float, weights: str, data_digest: str | None = None) -> OpenedStudent:
    choice = dataclasses.replace(opened.choice, val_error=val_error)
    digest = data_digest or opened.data_digest
    return dataclasses.replace(opened, choice=choice, weights_digest=weights, data_digest=digest)


@pytest.fixture(scope="module")
def contested(ran_folder: Path) -> Ran:
    """A study of its own, so that the other tests' champion stays."""
    config = small_study(name="contested", seeds=[0], arms=[{"method": "noisy_teacher", "sigma": 0.3}])
    return ran_study(config, ran_folder, ran_folder)


def test_champion_is_who_errs_less_on_the_same_images(contested: Ran) -> None:
    first = contested.opened()

    def register(val_error: float, weights: str, data_digest: str | None = None) -> str:
        return str(register_student(contested.uri, _other(first, val_error, weights, data_digest)))

    assert register(0.30, "a") == "contested-student version 1, champion"
    assert register(0.35, "b") == (
        "contested-student version 2; not champion: version 1 has a validation error of 30.00 %, this one 35.00 %"
    )
    assert register(0.30, "c").startswith("contested-student version 3; not champion")
    assert register(0.25, "d") == "contested-student version 4, champion"
    assert register(0.05, "e", "other images") == (
        "contested-student version 5; not champion: version 4 was measured on other images, so the two cannot be "
        "compared"
    )
    assert MlflowClient(contested.uri).get_model_version_by_alias("contested-student", CHAMPION).version in (4, "4")


class _Killed(BaseException):
    """Nothing is done after it, as after `kill -9`."""


STEPS = (
    "create_logged_model",
    "log_artifacts",
    "finalize_logged_model",
    "log_batch",
    "log_outputs",
    "create_model_version",
    "set_logged_model_tags",
    "set_registered_model_alias",
)


def _owner(step: str) -> type:
    """The class that has a step: MLflow's client, or the place of artifacts of a SQLite store."""
    return LocalArtifactRepository if step == "log_artifacts" else MlflowClient


def test_a_killed_registration_is_finished_without_copies(contested: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step it was killed after, the next one finishes it: one logged model, one version, one output."""
    client, first = MlflowClient(contested.uri), contested.opened()
    experiment = client.get_experiment_by_name(contested.name)
    assert experiment is not None
    for place, step in enumerate(STEPS):
        student = _other(first, 0.2 - place / 100, f"killed-{step}")
        is_dead: list[bool] = []

        def killed(name: str, killer: str, is_dead: list[bool]) -> Callable[..., object]:
            act = getattr(_owner(name), name)

            def call(*args: object, **options: object) -> object:
                if is_dead:
                    raise _Killed
                done = act(*args, **options)
                if name == killer:
                    is_dead.append(True)
                    raise _Killed
                return done

            return call

        with monkeypatch.context() as patched:
            for name in STEPS:
                patched.setattr(_owner(name), name, killed(name, step, is_dead))
            with pytest.raises(_Killed):
                register_student(contested.uri, student)
        assert is_dead
        registered = register_student(contested.uri, student)
        assert registered.is_champion
        of_these = f"tags.weights_digest = '{student.weights_digest}'"
        (logged,) = client.search_logged_models([experiment.experiment_id], filter_string=of_these)
        assert str(logged.status) == "READY"
        assert json.loads(logged.tags["mlflow.modelVersions"])[0]["name"] == "contested-student"
        versions = client.search_model_versions("name = 'contested-student'")
        assert [v.tags["model_id"] for v in versions if v.tags["weights_digest"] == student.weights_digest] == [
            logged.model_id
        ]
        outputs = client.get_run(str(logged.source_run_id)).outputs
        assert outputs is not None
        assert [output.model_id for output in outputs.model_outputs].count(logged.model_id) == 1


def test_a_server_that_is_away_is_one_line(ran: Ran) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(UserError, match="does not answer"):
        register_student(address, ran.opened())


def test_mlflow_serves_class_probabilities_for_raw_images(ran: Ran, registered: Registered) -> None:
    opened = ran.opened()
    with served(ran.uri, f"models:/small-student@{CHAMPION}", ran.root.parent) as address:
        given = answer(address, opened.images[:20])
    np.testing.assert_allclose(given, softmax(logits_on(opened.student, opened.images[:20])), rtol=1e-4, atol=1e-5)


def test_tracking_server_registers_the_student(tmp_path: Path) -> None:
    """A tracking server, too, registers the student and gives it back."""
    config = small_study(seeds=[0], arms=[{"method": "noisy_teacher", "sigma": 0.3}])
    with mlflow_server(f"sqlite:///{tmp_path / 'server.db'}", tmp_path, str(tmp_path / "artifacts")) as server:
        address = server.uri
        study = ran_study(config, tmp_path, tmp_path, uri=address)
        opened = study.opened()
        assert str(register_student(address, opened)) == "small-student version 1, champion"
        mlflow.set_tracking_uri(address)
        predicted = mlflow.pyfunc.load_model(f"models:/small-student@{CHAMPION}").predict(opened.images[:7])
    np.testing.assert_allclose(predicted, softmax(logits_on(opened.student, opened.images[:7])), rtol=1e-4, atol=1e-5)
