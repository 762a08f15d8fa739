"""Commands and MLflow servers as forks of one process that has imported their packages.

Works on words of a command line, and on the address of a store. A command spends most of its start on imports; a fork
has them already. It runs the same code in a process of its own, which takes every signal. Only the imports are shared.
Knows nothing of faults. The process that forks must have one Python thread, so it does not use MLflow or Ray itself:
`in_child` does that for it.
"""

import atexit
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, TypeVar

from study.tracking.address import bound_requests
from support.disturbed import ELSEWHERE
from support.mlflow_server import MLflowServer

T = TypeVar("T")


MODULES = (
    "uvicorn",  # before MLflow's server, which asks whether it is there
    "mlflow.pyfunc",
    "mlflow.pytorch",
    "mlflow.server.fastapi_app",
    "ray.tune",
    "sklearn.datasets",
    "study.export.registry",
    "study.export.weights",
    "study.results.figures.chosen",
    "study.launch",
    "study.results.report",
    "study.running.trainable",
    "study.terminal.cli",
    "study.terminal.progress",
    "torch.export._trace",  # what `torch.export.export` imports when it is called
)
"""What a command, a server and a table import when they need it."""


def warm_up() -> None:
    """Import what a command, a server and a table need."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    bound_requests()
    for module in MODULES:
        import_module(module)
    assert threading.active_count() == 1, "a process with threads cannot be forked"


class Forked:
    """A child of this process, with the methods of `subprocess.Popen` that drivers and servers use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(0.02)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked(act: Callable[[], object]) -> Forked:
    """Run a function in a child in a session of its own; its `SystemExit` is the child's exit status."""
    pid = os.fork()
    if pid:
        return Forked(pid)
    status = 1
    try:
        os.setsid()
        # A shell ignores Ctrl-C for programs in the background, and a child would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        random.seed()
        act()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not return into its parent's code
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def in_child(act: Callable[[], T]) -> T:
    """What a function returns that must not run in this process.

    Raises:
        AssertionError: it failed; its traceback is on standard error.
    """
    # A pipe and no temporary folder: the child would remove the folder when it ends.
    read, write = os.pipe()

    def send() -> None:
        os.close(read)
        with os.fdopen(write, "wb") as file:
            pickle.dump(act(), file)

    child = forked(send)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        content = file.read()
    assert child.wait() == 0, "the child failed"
    answer: T = pickle.loads(content)  # noqa: S301 - written by our own child
    return answer


def _environment(given: Mapping[str, str]) -> None:
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(given)


def command(words: Sequence[str], folder: Path, environment: Mapping[str, str], out: IO[str], err: IO[str]) -> Forked:
    """`noisy-study` with these words, as `support.disturbed.command` starts it, without its imports."""

    def act() -> None:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.chdir(folder)
        _environment(environment)
        sys.argv = ["noisy-study", *words]
        from study.terminal.cli import main

        main()

    return forked(act)


class WarmServer(MLflowServer):
    """The application of `mlflow server` in a fork: one process, no start of an interpreter."""

    def _launch(self, environment: Mapping[str, str], output: IO[bytes]) -> Any:
        def act() -> None:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            _environment(
                {
                    **environment,
                    # As the command `mlflow server` passes them to its worker.
                    "_MLFLOW_SERVER_FILE_STORE": self.store,
                    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
                    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": environment["MLFLOW_ARTIFACTS_DESTINATION"],
                    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
                    "_MLFLOW_SGI_NAME": "uvicorn",
                }
            )
            import uvicorn

            uvicorn.run("mlflow.server.fastapi_app:app", host=self.host, port=self.port, log_level="warning")

        return forked(act)
