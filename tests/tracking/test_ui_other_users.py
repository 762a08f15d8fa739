"""What another user of this machine can do to the files of the user who runs `noisy-study ui`.

The attacks run as the user `nobody`, on a real server: an experiment whose artifacts are in a folder of the attacker,
where a link leads to the owner's files.
"""

import http.client
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import mlflow
import pytest
from support.other_user import as_nobody, needs_root
from support.study_ui import ServedUi, served_ui

SECRET = "the owner's key"


def _ask(address: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    connection.request(method, path, body or None, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(errors="replace")


def _post(address: str, call: str, **content: Any) -> tuple[int, dict[str, Any]]:
    status, text = _ask(address, "POST", f"/api/2.0/mlflow/{call}", json.dumps(content).encode())
    return status, json.loads(text)


def _attack(address: str, target: str) -> dict[str, Any]:
    """Read `id_rsa` of a folder, and write `authorized_keys` to it. Each step is taken as far as the server allows."""
    folder = tempfile.mkdtemp(prefix="theirs-", dir="/tmp")
    os.chmod(folder, 0o777)
    found: dict[str, Any] = {"folder": folder}
    found["made"], made = _post(address, "experiments/create", name="theirs", artifact_location=folder)
    if found["made"] != 200:
        return found
    _, run = _post(address, "runs/create", experiment_id=made["experiment_id"])
    run_id = run["run"]["info"]["run_id"]
    os.mkdir(f"{folder}/{run_id}")
    os.symlink(target, f"{folder}/{run_id}/artifacts")
    found["read"] = _ask(address, "GET", f"/get-artifact?path=id_rsa&run_uuid={run_id}")[1]
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=authorized_keys"
    found["written"] = _ask(address, "POST", upload, b"the attacker's key")[0]
    return found


def _read(path: str) -> dict[str, Any]:
    try:
        return {"content": Path(path).read_text()}
    except OSError as error:
        return {"content": None, "error": error.errno}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("owner")
    keys = folder / "home" / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "id_rsa").write_text(SECRET)
    run_with_artifact(folder)
    return folder


def run_with_artifact(folder: Path) -> None:
    """A run of the owner, whose artifacts are beside the store, as a study makes it."""
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("ours", artifact_location=str(folder / "mlruns" / "1"))
    client.log_text(client.create_run(experiment).info.run_id, "name: ours", "study.yaml")


@pytest.fixture(scope="module")
def ui(home: Path) -> Iterator[ServedUi]:
    with served_ui(home) as served:
        yield served


def _attacked(ui: ServedUi, home: Path) -> dict[str, Any]:
    keys = home / "home" / ".ssh"
    found = as_nobody(_attack, ui.address, str(keys))
    shutil.rmtree(found["folder"])
    assert SECRET not in json.dumps(found)
    assert not (keys / "authorized_keys").exists()
    return found


@needs_root
def test_another_user_gets_nowhere(ui: ServedUi, home: Path) -> None:
    found = _attacked(ui, home)
    assert found["made"] == 401


@needs_root
def test_another_user_cannot_read_the_token(ui: ServedUi, home: Path) -> None:
    """The file is in a folder that everybody may enter. The token is not among the arguments of a process either."""
    (file,) = (home / ".noisy-study").glob("ui-*.token")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    opened = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        opened.chmod(0o755)
        shutil.copy2(file, opened / "token")  # the folders above the store may be closed
        os.chown(opened / "token", file.stat().st_uid, file.stat().st_gid)
        assert as_nobody(_read, str(opened / "token"))["content"] is None
    finally:
        shutil.rmtree(opened)
    assert file.read_text() == ui.token
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [each for each in commands if str(ui.token).encode() in each]


def test_one_click_works_and_then_a_cookie(ui: ServedUi) -> None:
    connection = http.client.HTTPConnection(urlsplit(ui.address).netloc, timeout=120)
    connection.request("GET", f"/?token={ui.token}")
    answer = connection.getresponse()
    answer.read()
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert _ask(ui.address, "GET", "/", Cookie=cookie)[0] == 200
    assert _ask(ui.address, "GET", "/ajax-api/2.0/mlflow/experiments/search?max_results=1", Cookie=cookie)[0] == 200
    assert _ask(ui.address, "GET", "/")[0] == 401


def test_a_program_takes_the_token_from_the_file(ui: ServedUi, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = (home / ".noisy-study").glob("ui-*.token")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", file.read_text())
    client = mlflow.MlflowClient(ui.address)
    experiment = client.get_experiment_by_name("ours")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[0]
    path = f"/get-artifact?path=study.yaml&run_uuid={run.info.run_id}"
    assert _ask(ui.address, "GET", path, Authorization=f"Bearer {ui.token}") == (200, "name: ours")


def test_the_log_of_requests_has_no_token(ui: ServedUi) -> None:
    _ask(ui.address, "GET", f"/?token={ui.token}&once=more")
    logged = [line for line in ui.output.splitlines() if "once=more" in line]
    assert logged
    assert str(ui.token) not in "".join(logged)


@pytest.mark.parametrize("location", ["{}/home", "/tmp/theirs", "file:///tmp/theirs", "s3://bucket/theirs"])
def test_a_location_outside_the_store_is_refused(ui: ServedUi, home: Path, location: str) -> None:
    """The owner's own programs are held to it too: what they run may not be the owner's."""
    body = json.dumps({"name": "x", "artifactLocation": location.format(quote(str(home)))}).encode()
    path = "/ajax-api/2.0/mlflow/experiments/create"
    status, text = _ask(ui.address, "POST", path, body, Authorization=f"Bearer {ui.token}")
    assert status == 400
    assert "outside of this server's store" in text


@needs_root
def test_without_a_login_other_files_are_safe(home: Path) -> None:
    """With `--no-auth` everybody reads the runs, and the owner is warned. Other files are still refused."""
    with served_ui(home, "--no-auth") as ui:
        assert "--no-auth: every user of this machine can now read and change every run" in ui.output
        assert ui.token is None
        found = _attacked(ui, home)
        assert found["made"] == 400
        # An experiment that an older server made for the attacker: the link leads out of its place.
        client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
        theirs = Path(tempfile.mkdtemp(prefix="theirs-", dir="/tmp"))
        experiment = client.create_experiment("older", artifact_location=str(theirs))
        run_id = client.create_run(experiment).info.run_id
        (theirs / run_id).mkdir()
        (theirs / run_id / "artifacts").symlink_to(home / "home" / ".ssh")
        status, text = _ask(ui.address, "GET", f"/get-artifact?path=id_rsa&run_uuid={run_id}")
        shutil.rmtree(theirs)
        assert status == 400
        assert SECRET not in text
