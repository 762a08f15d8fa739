"""What the Dockerfile promises, read from it: building it is `docker/smoke-test.sh`."""

import re

from support.docker_files import DOCKER, ROOT

TEXT = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))
STAGES = [stage.splitlines() for stage in re.split(r"(?m)^(?=FROM )", TEXT) if stage.startswith("FROM ")]
LAST = STAGES[-1]


def test_begins_with_the_slim_python_image_by_its_digest() -> None:
    assert re.search(r"(?m)^ARG PYTHON_IMAGE=python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}$", TEXT)
    assert STAGES[0][0] == "FROM $PYTHON_IMAGE AS dependencies"
    assert LAST[0] == "FROM $PYTHON_IMAGE"


def test_runs_as_a_user_who_is_not_root() -> None:
    users = [line.split()[1] for line in LAST if line.startswith("USER ")]
    assert users == ["study"]
    assert any("useradd" in line and "--uid 1000 study" in line for line in LAST)


def test_can_be_asked_for_its_health() -> None:
    assert any(line.startswith("HEALTHCHECK ") for line in LAST)


def test_dependencies_are_pinned() -> None:
    """The layer of the dependencies changes only with the files that name them."""
    copied = [line for line in STAGES[0] if line.startswith("COPY ")]
    assert copied == ["COPY pyproject.toml constraints.txt ./"]
    installs = [part for line in STAGES[0] for part in line.split(";") if "pip install" in part]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in install for install in installs)


def test_installs_no_build_tools() -> None:
    apt = [line for line in LAST if "apt-get install" in line]
    assert len(apt) == 1
    installed = apt[0].partition("--no-install-recommends")[2].partition("&&")[0].split()
    assert installed == ["openssh-client", "rsync", "wget"]


def test_only_the_package_reaches_a_builder() -> None:
    """Nothing of the checkout but what the package is built from reaches a builder."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert let_in == {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "models", "search_spaces", "study"}
