"""A finished study and the command that shows it, started as a user starts both."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import requests
from mlflow.entities import Run

from support.mlflow_server import free_port

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
ELSEWHERE = ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "OPTUNA_STORAGE", "RAY_ADDRESS")
HERE = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
SECONDS = 120.0


@dataclass(frozen=True)
class Ui:
    """The pages of a store that holds one finished study."""

    address: str
    parent: Run
    trials: dict[str, Run]
    links: dict[str, str]
    """What the command printed: studies and where their pages are."""

    @property
    def hosts(self) -> set[str]:
        """Whom a page may ask; what it makes itself (blob, data) is nobody."""
        return {self.address.removeprefix("http://"), "blob", "data"}


@contextmanager
def study_ui(folder: Path, settings: Sequence[str] = ()) -> Iterator[Ui]:
    """Run the recipe `quickstart-search` in a folder, and show it by `noisy-study ui` on a port that was free."""
    command = [NOISY_STUDY, "run", "quickstart-search", *settings]
    ran = subprocess.run(command, cwd=folder, env=HERE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    port = free_port()
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("quickstart-search")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    kinds = {kind: [run for run in runs if run.data.tags["noisy_study.kind"] == kind] for kind in ("study", "trial")}
    said = folder / "said"
    with open(said, "wb") as output:
        process = subprocess.Popen(
            [NOISY_STUDY, "ui", "--port", str(port)],
            cwd=folder,
            env=HERE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process, said)
        links = dict(line.split(": ", 1) for line in said.read_text().splitlines() if "/#/" in line)
        yield Ui(address, kinds["study"][0], {run.info.run_name: run for run in kinds["trial"]}, links)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


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
