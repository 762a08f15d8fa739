"""A real tracking server that a test may kill, stop and start again."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from time import monotonic, sleep

SECONDS = 120.0
"""How long a server may take to answer before a test gives up."""


def free_port() -> int:
    """A port that is free now and can be named again after its server has gone."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class TrackingServer:
    """An MLflow server on a port of its own.

    Args:
        folder: its artifacts, its log, and its SQLite store unless `store` names another.
    """

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self._folder, self._port = folder, free_port()
        self._store = store or f"sqlite:///{folder / 'server.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        environment = {
            **os.environ,
            "MLFLOW_BACKEND_STORE_URI": self._store,
            "MLFLOW_ARTIFACTS_DESTINATION": str(self._folder / "artifacts"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._folder,
            )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def hang(self) -> None:
        """It accepts connections and answers none."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _wait_until_it_answers(self) -> None:
        end = monotonic() + SECONDS
        while monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except OSError:
                sleep(0.1)
        raise TimeoutError((self._folder / "server.log").read_text()[-2000:])
