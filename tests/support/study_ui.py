"""A finished study and the command that shows it, started as a user starts both."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
import requests
from mlflow.entities import Run

from support import disturbed
from support.mlflow_server import free_port

SECONDS = 600.0


@dataclass(frozen=True)
class ServedUi:
    """A running `noisy-study ui`: its address, and the file that has what it printed."""

    address: str
    said: Path

    @property
    def output(self) -> str:
        return self.said.read_text()

    @property
    def token(self) -> str | None:
        """The token in the printed links; None if they have none."""
        found = re.search(r"[?]token=([\w-]+)", self.output)
        return found[1] if found else None


@contextmanager
def served_ui(folder: Path, *options: str, **environment: str) -> Iterator[ServedUi]:
    """`noisy-study ui` in a folder, on a port that was free, once it answers.

    Args:
        folder: where the command runs.
        options: of the command line.
        environment: of the command, beside this machine's.
    """
    port, said = free_port(), folder / "said"
    with open(said, "wb") as output:
        os.fchmod(output.fileno(), 0o600)  # else the links have no token
        process = subprocess.Popen(
            [disturbed.NOISY_STUDY, "ui", "--port", str(port), *options],
            cwd=folder,
            env={**disturbed.HERE, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process, said)
        yield ServedUi(address, said)
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@dataclass(frozen=True)
class Ui:
    """The pages of a store that holds one finished study."""

    address: str
    token: str
    parent: Run
    trials: dict[str, Run]
    links: dict[str, str]
    """What the command printed: studies and where their pages are."""

    @property
    def link(self) -> str:
        """The first page, as the command printed it."""
        return f"{self.address}/?token={self.token}"

    @property
    def hosts(self) -> set[str]:
        """Whom a page may ask; what it makes itself (blob, data) is nobody."""
        return {self.address.removeprefix("http://"), "blob", "data"}


@contextmanager
def study_ui(folder: Path, settings: Sequence[str] = (), recipe: str = "quickstart-search") -> Iterator[Ui]:
    """Run a recipe in a folder, and show it by `noisy-study ui` on a port that was free."""
    command = [disturbed.NOISY_STUDY, "run", recipe, *settings]
    ran = subprocess.run(command, cwd=folder, env=disturbed.HERE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(recipe)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    kinds = {kind: [run for run in runs if run.data.tags["noisy_study.kind"] == kind] for kind in ("study", "trial")}
    with served_ui(folder) as served:
        links = dict(line.split(": ", 1) for line in served.output.splitlines() if "#/experiments" in line)
        trials = {run.info.run_name: run for run in kinds["trial"]}
        yield Ui(served.address, str(served.token), kinds["study"][0], trials, links)


def _wait_for(address: str, process: "subprocess.Popen[bytes]", said: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
