"""A real MLflow server, which a test may kill, stop and start again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import requests

SECONDS = 120.0
"""How long a server may take to answer."""


def free_port() -> int:
    """A port of this machine that is free now, and can be named again after its server has gone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class MLflowServer:
    """`mlflow server` at an address of its own.

    Args:
        store: address of the database behind it.
        folder: for its output.
        host, port: where it listens.
        artifacts: where it keeps them; without, in the folder.
        options: of its command line, beside these.
        environment: of its process, beside this one's.
    """

    store: str
    folder: Path
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    artifacts: str | None = None
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: Any = None  # a `subprocess.Popen`, or what has its methods

    @property
    def uri(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def started(self) -> bool:
        """Whether its process was started, and not killed since."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        said = self.folder / "output"
        environment = {
            "MLFLOW_BACKEND_STORE_URI": self.store,
            "MLFLOW_ARTIFACTS_DESTINATION": self.artifacts or str(self.folder / "artifacts"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with open(said, "ab") as output:
            self._process = self._launch(environment, output)
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            assert self._process.poll() is None, said.read_text()[-3000:]
            assert time.monotonic() < deadline, said.read_text()[-3000:]
            time.sleep(0.2)

    def _launch(self, environment: Mapping[str, str], output: IO[bytes]) -> Any:
        """Start its process, in a session of its own."""
        where = ("--host", self.host, "--port", str(self.port), "--workers", "1")
        return subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *where, *self.options],
            env={**os.environ, **environment, **self.environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """End it at once, as a power cut would; nothing where it does not run."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """From now on it accepts connections and answers none."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It answers again, what came meanwhile too."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it was not started"
        os.killpg(self._process.pid, number)


@contextmanager
def mlflow_server(store: str, folder: Path, artifacts: str | None = None) -> Iterator[MLflowServer]:
    """A server for the length of a with block."""
    server = MLflowServer(store, folder, artifacts=artifacts)
    try:
        server.start()
        yield server
    finally:
        server.kill()
