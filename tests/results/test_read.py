"""What is read off a real MLflow store, and what is said when there is nothing to read."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.handwritten import Writer

from study.errors import UserError
from study.results import read
from study.results.read import read_study
from study.tracking import schema
from study.tracking.credentials import without_credentials

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]


def test_every_trial_is_read_once(uri: str, mnist: str) -> None:
    """Only some of the trials may enter a table."""
    tracked = read_study(uri, mnist)
    assert len(tracked.trials) == 30
    assert tracked.trials["run_id"].is_unique
    assert len(tracked.teachers) == 1
    assert len(tracked.completed()) == 25
    assert set(tracked.completed()["tags.noisy_study.stage"]) == {"grid", "confirm"}
    assert tracked.params == {"published": "table-1"}
    assert tracked.tags["noisy_study.kind"] == "study"
    assert tracked.status == "FINISHED"


def test_trials_are_counted_by_stage_and_outcome(uri: str, mnist: str) -> None:
    counts = read_study(uri, mnist).counts()
    assert counts.loc["grid"].to_dict() == {"completed": 20, "diverged": 1, "failed": 1, "running": 1}
    assert counts.loc["search"].to_dict() == {"completed": 2, "diverged": 0, "failed": 0, "running": 0}
    assert counts.loc["confirm", "completed"] == 5


def test_a_study_of_several_pages_is_read_to_its_end(uri: str, mnist: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_study(uri, mnist).trials
    monkeypatch.setattr(read, "RUNS_PER_PAGE", 7)
    assert read_study(uri, mnist).trials.equals(whole)


def test_a_study_that_has_just_begun_is_empty(uri: str, new_study: NewStudy) -> None:
    tracked = read_study(uri, new_study().name)
    assert tracked.trials.empty
    assert tracked.completed().empty
    assert tracked.counts().empty


def test_runs_of_other_kinds_in_the_experiment_are_passed_over(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.run({"mlflow.runName": "by somebody else"}, {}, {})
    study.trial(0, 0.1)
    assert len(read_study(uri, study.name).trials) == 1


def test_a_run_that_ended_without_an_outcome_is_unfinished(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    tags = {"noisy_study.kind": "trial", "noisy_study.stage": "grid"}
    study.run(tags, {}, {}, status="KILLED")
    study.run(tags, {}, {}, status="RUNNING")
    assert read_study(uri, study.name).counts().loc["grid"].to_dict() == {"running": 1, "unfinished": 1}


@pytest.mark.usefixtures("mnist")
def test_an_unknown_study_is_named_with_the_nearest_known(uri: str) -> None:
    with pytest.raises(UserError, match=r"no study `mnist-tabel-1`.*did you mean `mnist-table-1`") as raised:
        read_study(uri, "mnist-tabel-1")
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("mnist")
def test_an_unknown_study_like_no_other_is_named_with_some_known(uri: str) -> None:
    with pytest.raises(UserError, match=r"no study `zzzzzz`.*; it has "):
        read_study(uri, "zzzzzz")


def test_a_deleted_study_is_not_there(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study()
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(UserError, match=f"was deleted .* restore --experiment-id {experiment.experiment_id}$"):
        read_study(uri, study.name)


def test_a_deleted_parent_run_is_named(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study()
    client.delete_run(study.parent)
    with pytest.raises(UserError, match=f"mlflow runs restore --run-id {study.parent}$"):
        read_study(uri, study.name)


def test_deleted_trials_are_named(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    """A deleted copy of a trial that has another run is not missed."""
    study = new_study()
    tags = {schema.KIND: "trial", schema.STAGE: "grid", schema.ROLE: "arm"}
    lost, _, copy = (
        study.run({**tags, schema.TRIAL_ID: trial_id}, {}, {}) for trial_id in ("grid-0000", "grid-0001", "grid-0001")
    )
    client.delete_run(lost)
    client.delete_run(copy)
    assert read_study(uri, study.name).deleted_runs == (lost,)


@pytest.mark.parametrize("scheme", ["sqlite:///", "file://", ""])
def test_reading_makes_no_store_where_there_is_none(tmp_path: Path, scheme: str) -> None:
    store = tmp_path / "none"
    with pytest.raises(UserError, match=r"no tracking store .*none"):
        read_study(f"{scheme}{store}", "any")
    assert not store.exists()


def test_a_file_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    store = tmp_path / "text.db"
    store.write_text("not a database, but long enough to be taken for one " * 20)
    with pytest.raises(UserError, match="the tracking server") as raised:
        read_study(f"sqlite:///{store}", "any")
    assert "\n" not in str(raised.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that neither waits nor tries again."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("port", ["silent_port", "closed_port"])
def test_silent_server_is_named_without_password(port: str, request: pytest.FixtureRequest) -> None:
    """A server that does not answer is named without its password."""
    address = f"127.0.0.1:{request.getfixturevalue(port)}"
    with pytest.raises(UserError, match=rf"the tracking server http://{address}") as raised:
        read_study(f"http://somebody:s3cr%40t@{address}", "any")
    message = str(raised.value)
    assert "\n" not in message
    assert not any(secret in message for secret in ("s3cr", "somebody"))


@pytest.mark.parametrize("driver", ["no-such-scheme", "postgresql+nodriver"])
def test_unusable_address_is_one_line(driver: str) -> None:
    """An address that MLflow cannot use is one line without its password."""
    with pytest.raises(UserError, match="the tracking server") as raised:
        read_study(f"{driver}://somebody:s3cret@db.example/mlflow?password=s3cret", "any")
    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_credentials_are_removed_everywhere() -> None:
    """Credentials are removed from addresses and from messages that quote them."""
    assert without_credentials("http://u:p@host:5000/path") == "http://host:5000/path"
    assert without_credentials("postgresql://u:p@ss/w@host/db?user=u&password=p") == "postgresql://host/db"
    assert without_credentials("request to 'http://u:p@host' failed?") == "request to 'http://host' failed?"
    assert without_credentials("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"


@pytest.mark.usefixtures("mnist")
def test_a_table_is_made_without_torch_and_ray(uri: str) -> None:
    program = (
        "import sys\n"
        "from study.results.render import render\n"
        "from study.results.table import build_table\n"
        f"assert 'better' in render(build_table({uri!r}, 'mnist-table-1'))\n"
        "assert not {'torch', 'ray', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("metric", ["test_error", "best_val_error", "val_error"])
@pytest.mark.parametrize("kind", ["trial", "teacher"])
def test_an_error_outside_0_to_1_is_named_with_its_run(uri: str, new_study: NewStudy, metric: str, kind: str) -> None:
    study = new_study()
    run = study.run({"noisy_study.kind": kind, "noisy_study.stage": "grid"}, {}, {metric: 1.01})
    with pytest.raises(UserError, match=f"study {study.name}, run {run}: metric `{metric}` is 1.01; expected a share"):
        read_study(uri, study.name)


def test_errors_of_0_and_1_and_no_number_are_read(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    for seed, error in enumerate((0.0, 1.0, float("nan"))):
        study.trial(seed, error)
    assert len(read_study(uri, study.name).trials) == 3
