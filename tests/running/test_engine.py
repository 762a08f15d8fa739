"""A local Ray is reached by nobody else, and leaves nothing behind."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from support.processes import is_here, sockets, tree

from study.errors import UserError
from study.running.engine import ray_engine


@pytest.fixture
def rays_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray makes its files; in `/tmp`, for its sockets have no room for pytest's folder."""
    with tempfile.TemporaryDirectory(prefix="engine-", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


@ray.remote
def _token() -> str | None:
    return os.environ.get("RAY_AUTH_TOKEN")


def test_local_ray_is_private_and_leaves_nothing(
    workspace: Path, rays_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local Ray listens on this machine only, asks for a token and leaves nothing behind."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(workspace))
    before = dict(os.environ)
    with ray_engine(None, False, str) as capacity:
        token = ray.get(_token.remote())
        assert token is not None
        assert len(token) == 64
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert capacity.nodes
        listening = {socket for pid in tree(os.getpid()) for socket in sockets(pid) if socket.listens}
        assert {name for socket in listening for name in ("gcs_server", "raylet") if name in socket.process} == {
            "gcs_server",
            "raylet",
        }
        assert not {socket for socket in listening if not is_here(socket.address)}
        commands = " ".join(word for pid in tree(os.getpid()) for word in psutil.Process(pid).cmdline())
        assert not [name for name in ("dashboard/dashboard.py", "monitor.py") if name in commands]
        (folder,) = rays_folder.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert list(workspace.iterdir()) == []  # Ray would write its token there, for every user to read
    assert {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")} == {
        name: before.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    }


def test_a_ray_that_others_could_reach_is_not_started(rays_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's public option for the node's address leaves its workers on the machine's other addresses."""
    monkeypatch.setattr("ray.__version__", "2.99.0")
    with pytest.raises(UserError, match=r"ray 2\.99\.0: .*; install ray 2\.60"), ray_engine(None, False, str):
        raise AssertionError("it was started")
    assert not ray.is_initialized()
    assert list(rays_folder.iterdir()) == []


def test_a_slow_start_of_ray_is_retried(workspace: Path, rays_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray gives its node 30 seconds, which is too short on a busy machine. A failed attempt leaves no process."""
    start, left = ray.init, list[subprocess.Popen[bytes]]()

    def slow_at_first(**options: Any) -> object:
        if not left:
            left.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
            raise Exception("The current node timed out during startup. This could happen because …")
        return start(**options)

    monkeypatch.setattr(ray, "init", slow_at_first)
    with ray_engine(None, False, str) as capacity:
        assert capacity.nodes
    assert not psutil.pid_exists(left[0].pid)
