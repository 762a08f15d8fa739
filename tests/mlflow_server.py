"""A real MLflow server, for the length of a with block."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests


@contextmanager
def mlflow_server(store: str, folder: Path, artifacts: str | None = None) -> Iterator[str]:
    """`mlflow server` on a free port of this machine.

    Args:
        store: address of the database behind it.
        folder: for its output.
        artifacts: where it keeps them; without, in the folder.

    Yields:
        its address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, said = f"http://127.0.0.1:{port}", folder / "output"
    environment = {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with open(said, "wb") as output:
        process = subprocess.Popen(
            [*command, "--artifacts-destination", artifacts or str(folder / "artifacts")],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not _answers(address):
            assert process.poll() is None, said.read_text()[-2000:]
            assert time.monotonic() < deadline, said.read_text()[-2000:]
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.RequestException:
        return False
