"""The compose file parses, and keeps the rules of a stack that is safe to start."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.docker_files import CLOUD, DOCKER, load, secrets

FILE = DOCKER / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = load(FILE)["services"]
OURS = [name for name, service in SERVICES.items() if "noisy-teacher-study" in service["image"]]


def _resolved(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The file as a compose implementation reads it; a dry run asks no engine."""
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    arguments = ["--dry-run", "--env-file", str(folder / "env"), "--file", str(FILE)]
    profiles = ["--profile", "gpu", "--profile", "study"]
    command = [sys.executable, "-m", "podman_compose", *arguments, *profiles, "config"]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={"PATH": "/usr/bin:/bin"}
    )


def test_parses_once_every_secret_is_given(tmp_path: Path) -> None:
    done = _resolved(tmp_path, {name: f"value-of-{name}" for name in secrets()})
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"postgres", "mlflow", "ray-head", "ray-worker", "ray-worker-gpu", "study"}
    assert services["ray-head"]["environment"]["RAY_AUTH_TOKEN"] == "value-of-RAY_AUTH_TOKEN"


@pytest.mark.parametrize("missing", sorted(secrets()))
@pytest.mark.parametrize("how", ["left out", "left empty"])
def test_does_not_start_without_a_secret(missing: str, how: str, tmp_path: Path) -> None:
    given = {name: "given" for name in secrets() if name != missing}
    done = _resolved(tmp_path, given if how == "left out" else {**given, missing: ""})
    assert done.returncode != 0
    assert f"required variable {missing}" in done.stderr


def test_the_example_of_the_secrets_holds_none() -> None:
    lines = (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if line and not line.startswith("#") and not line.endswith("=")]
    assert secrets() == {
        "POSTGRES_PASSWORD",
        "MLFLOW_DATABASE_PASSWORD",
        "STUDY_DATABASE_PASSWORD",
        "MLFLOW_ADMIN_PASSWORD",
        "MLFLOW_STUDY_PASSWORD",
        "MLFLOW_SECRET_KEY",
        "RAY_AUTH_TOKEN",
    }
    assert given == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_password_comes_from_outside(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    sensitive = [key for key in environment if any(word in key for word in ("PASSWORD", "SECRET", "TOKEN"))]
    for key in sensitive:
        variable = environment[key].removeprefix("${").partition(":?")[0]
        assert variable in secrets(), f"{key} of {name} is {environment[key]}"
    assert not [value for value in environment.values() if re.search(r"//[^/]*:[^/]*@", str(value))]


@pytest.mark.parametrize("file", [FILE, CLOUD / "head.compose.yaml"])
def test_what_is_published_is_published_on_this_machine_only(file: Path) -> None:
    published = {name: service["ports"] for name, service in load(file)["services"].items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_only_the_two_user_interfaces_are_published() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"mlflow", "ray-head"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "study"])
def test_every_lasting_service_has_a_health_check_and_comes_back(name: str) -> None:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD"
    assert command
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_health_orders_the_start(name: str) -> None:
    waits_for = SERVICES[name].get("depends_on", {})
    assert all(condition == {"condition": "service_healthy"} for condition in waits_for.values())
    assert waits_for or name == "postgres"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_privileges_or_unbounded_resources(name: str) -> None:
    service = SERVICES[name]
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 8192
    assert service["mem_limit"]


def test_no_service_runs_as_root() -> None:
    """The user of our image is not root. PostgreSQL's image begins as root unless `user` says otherwise."""
    assert {name for name, service in SERVICES.items() if "user" in service} == {"postgres"}
    assert SERVICES["postgres"]["user"] == "999:999"


def test_the_root_is_read_only_but_for_rays_nodes() -> None:
    writable = {name for name, service in SERVICES.items() if not service.get("read_only")}
    assert writable == {"ray-head", "ray-worker", "ray-worker-gpu"}
    assert all("/tmp" in service["tmpfs"] for name, service in SERVICES.items() if name not in writable)


SECRETS_OF = {
    "postgres": {"POSTGRES_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "STUDY_DATABASE_PASSWORD"},
    "mlflow": {"MLFLOW_DATABASE_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_STUDY_PASSWORD", "MLFLOW_SECRET_KEY"},
    "ray-head": {"RAY_AUTH_TOKEN", "STUDY_DATABASE_PASSWORD", "MLFLOW_STUDY_PASSWORD"},
    "ray-worker": {"RAY_AUTH_TOKEN"},
    "ray-worker-gpu": {"RAY_AUTH_TOKEN"},
    "study": {"RAY_AUTH_TOKEN", "MLFLOW_STUDY_PASSWORD"},
}


def test_each_service_has_the_secrets_that_it_needs() -> None:
    """No node of Ray has the password of an administrator. A worker has the token of the cluster and nothing else."""
    given = {
        name: {word for value in service["environment"].values() for word in re.findall(r"\$\{(\w+):\?", str(value))}
        for name, service in SERVICES.items()
    }
    assert given == SECRETS_OF


def test_a_worker_reaches_neither_database_nor_mlflow() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert networks["ray-worker"] == networks["ray-worker-gpu"] == {"cluster"}
    assert not networks["postgres"] & {"cluster", "front", "tracking"}
    assert "cluster" not in networks["mlflow"]
    assert networks["ray-head"] >= {"cluster", "tracking", "database"}
    internal = {name for name, settings in load(FILE)["networks"].items() if (settings or {}).get("internal")}
    assert internal == {"tracking", "database"}
    assert len(networks["ray-head"] - internal) == 1  # Ray takes the address of the network that leads out


def test_studies_log_in_as_users_who_administer_nothing() -> None:
    environment = SERVICES["ray-head"]["environment"]
    assert environment["MLFLOW_TRACKING_USERNAME"] == "study"
    assert environment["OPTUNA_STORAGE"].startswith("postgresql+psycopg://study@")
    assert SERVICES["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg://mlflow@")
    assert "--app-name=noisy-study-login" in SERVICES["mlflow"]["command"]


def test_foreign_images_are_named_by_digest() -> None:
    foreign = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    assert foreign
    assert all(re.search(r":-[\w:.-]+@sha256:[0-9a-f]{64}\}$", image) for image in foreign)


def test_driver_and_nodes_see_the_same_studies_and_data() -> None:
    for name in ("ray-head", "ray-worker", "ray-worker-gpu", "study"):
        assert {"studies:/srv/study", "data:/srv/data"} <= set(SERVICES[name]["volumes"])
        assert SERVICES[name]["environment"]["NOISY_STUDY_ROOT"] == "/srv/study"
        assert SERVICES[name]["environment"]["NOISY_STUDY_DATA"] == "/srv/data"


def test_nodes_have_shared_memory_for_rays_objects() -> None:
    assert all("shm_size" in SERVICES[name] for name in ("ray-head", "ray-worker", "ray-worker-gpu"))


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_that_is_mounted_is_there(name: str) -> None:
    mounted = [volume.partition(":")[0] for volume in SERVICES[name].get("volumes", []) if volume.startswith(".")]
    assert all((DOCKER / path).is_file() for path in mounted)
