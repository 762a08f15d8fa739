"""`noisy-study ui` runs MLflow, ends it with itself, and names a port that is taken."""

import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
from support.disturbed import HERE, NOISY_STUDY, wait_for
from support.mlflow_server import free_port

from study.errors import StudyFailed
from study.tracking import server


def test_busy_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StudyFailed, match="another program listens there; choose another port with --port"):
            server.check_port("127.0.0.1", taken.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_ends_mlflow_too(tmp_path: Path, number: signal.Signals) -> None:
    """The signal goes to the command alone."""
    port = free_port()
    with open(tmp_path / "said", "wb") as said:
        command = [NOISY_STUDY, "ui", "--port", str(port)]
        process = subprocess.Popen(command, cwd=tmp_path, env=HERE, stdout=said, stderr=said, start_new_session=True)

    def listens() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    wait_for(lambda: listens() or process.poll() is not None, "MLflow listens")
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    assert process.wait(60) == 130, (tmp_path / "said").read_text()
    assert children
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not listens()
