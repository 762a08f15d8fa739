"""MLflow's own server for a registered model, asked over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


@contextmanager
def served(uri: str, model: str, folder: Path) -> Iterator[str]:
    """`mlflow models serve` on a port that was free a moment ago; gives its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here = Path(sys.executable).parent
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",  # MLflow starts uvicorn by its name
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", process)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)


def _wait_for(address: str, process: "subprocess.Popen[str]", seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                pytest.fail(f"the server ended: {process.communicate()[0][-2000:]}")
            assert time.monotonic() < deadline, f"no answer after {seconds} s"
            time.sleep(0.2)


def answer(address: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    body = json.dumps({"inputs": images.tolist()}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return np.array(json.load(response)["predictions"], dtype=np.float32)
