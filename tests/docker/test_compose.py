"""The compose file parses, and keeps the rules of a stack that is safe to start."""

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
    assert secrets() == {"POSTGRES_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY", "RAY_AUTH_TOKEN"}
    assert given == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_password_comes_from_outside(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    sensitive = [key for key in environment if any(word in key for word in ("PASSWORD", "SECRET", "TOKEN"))]
    for key in sensitive:
        variable = environment[key].removeprefix("${").partition(":?")[0]
        assert variable in secrets(), f"{key} of {name} is {environment[key]}"
    assert not any("@" in str(value) and "study@" not in str(value) for value in environment.values())


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


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert "user" not in service, "the image's own user, who is not root"
    assert "privileged" not in service
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


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
