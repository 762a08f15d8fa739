"""What `noisy-study ui` prints, and where it keeps the token of its start. MLflow's server is not started."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.mlflow_server import free_port

from study import environment
from study.errors import UserError
from study.terminal.cli import ui as command
from study.tracking import server

Serve = Callable[[str, int, dict[str, str], server.Access], None]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How MLflow would have been started, and what the token's file was then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    starts: list[dict[str, Any]] = []

    def serve(host: str, port: int, variables: dict[str, str], access: server.Access) -> None:
        file = server.token_file(port)
        known = {"mode": stat.S_IMODE(file.stat().st_mode), "text": file.read_text()} if file.exists() else {}
        starts.append({"access": access, "variables": variables, "port": port, **known})

    monkeypatch.setattr(server, "serve", serve)
    return starts


def test_the_printed_link_has_the_token_of_this_start(
    started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    command.ui(port=port)
    command.ui(port=port)
    first, second = started
    assert first["text"] != second["text"]
    assert len(first["text"]) >= 43  # 256 bits
    assert f"MLflow on http://127.0.0.1:{port}/?token={first['text']} (Ctrl-C stops it)" in capsys.readouterr().err
    assert first["variables"][environment.UI_TOKEN] == first["text"]


def test_the_file_of_the_token_is_its_owners_alone(started: list[dict[str, Any]], tmp_path: Path) -> None:
    """Also where a file or a link of that name was there before. The file is removed at the end."""
    port = free_port()
    file = tmp_path / ".noisy-study" / f"ui-{port}.token"
    file.parent.mkdir()
    (tmp_path / "theirs").write_text("")
    (tmp_path / "theirs").chmod(0o666)
    file.symlink_to(tmp_path / "theirs")
    former = os.umask(0)
    try:
        command.ui(port=port)
    finally:
        os.umask(former)
    assert started[0]["mode"] == 0o600
    assert (tmp_path / "theirs").read_text() == ""
    assert not os.path.lexists(file)


@pytest.mark.parametrize(("mode", "shown"), [(0o600, True), (0o640, False), (0o644, False)])
def test_a_log_that_others_can_read_gets_no_token(
    mode: int,
    shown: bool,
    started: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT, mode)
    os.fchmod(log, mode)
    monkeypatch.setattr(command, "_descriptor", lambda: log)
    command.ui(port=free_port())
    os.close(log)
    printed = capsys.readouterr().err
    assert (started[0]["text"] in printed) is shown
    assert ("other users can read this output, so the links have no token" in printed) is not shown


def test_no_auth_warns_and_has_no_token(started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    command.ui(port=free_port(), auth=False)
    assert "every user of this machine can now read and change every run" in capsys.readouterr().err
    assert started[0]["access"] == "open"
    assert "text" not in started[0]
    assert environment.UI_TOKEN not in started[0]["variables"]


def test_the_token_alone_opens_no_network(started: list[dict[str, Any]]) -> None:
    for auth in (None, False):
        with pytest.raises(UserError, match=r"--host 0\.0\.0\.0: everyone who reaches this address"):
            command.ui(host="0.0.0.0", auth=auth)
    assert not started
