"""The tracking server goes away in mid-study: training goes on, and what it is to hear arrives once, in order."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import mlflow
import pytest
from postgresql import running_postgresql
from servers import TrackingServer

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
SECONDS = 240.0
EPOCHS = 6
STUDY = f"""
name: outage
data: {{name: digits}}
teachers: [{{network: FC32-FC10, train: {{epochs: 2}}}}]
student: {{network: FC16-FC10}}
train: {{epochs: {EPOCHS}, patience: 0}}
arms: [{{method: noisy_teacher, alpha: 0.5, sigma: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]}}]
seeds: [0, 1]
"""
TRIALS = 20

pytestmark = pytest.mark.faults


@dataclass
class Running:
    """A study that runs in a process of its own."""

    folder: Path
    process: subprocess.Popen[str]
    log: Path

    def wait_for(self, what: Callable[[], bool]) -> None:
        end = monotonic() + SECONDS
        while not what():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said}"
            assert monotonic() < end, self.said
            sleep(0.05)

    def wait_for_trials(self, more: int) -> None:
        """Wait until so many more trials are finished."""
        wanted = self._finished() + more
        self.wait_for(lambda: self._finished() >= wanted)

    def _finished(self) -> int:
        return len([*self.folder.glob(".noisy-study/studies/outage/trials/*/result.json")])

    @property
    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        return self.process.wait(SECONDS)


def command(folder: Path, uri: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "COLUMNS": "140"}
    return subprocess.run(
        [NOISY_STUDY, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@contextmanager
def running(folder: Path, uri: str) -> Iterator[Running]:
    (folder / "outage.yaml").write_text(STUDY)
    log = folder / "stderr.txt"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [NOISY_STUDY, "run", "outage.yaml"],
            cwd=folder,
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
        )
    try:
        yield Running(folder, process, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def json_table(folder: Path, uri: str) -> Any:
    printed = command(folder, uri, "table", "outage", "--format", "json")
    assert printed.returncode == 0, printed.stderr
    return json.loads(printed.stdout)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("undisturbed")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with running(folder, uri) as study:
        assert study.end() == 0, study.said
    return json_table(folder, uri)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrackingServer]:
    (tmp_path / "server").mkdir()
    server = TrackingServer(tmp_path / "server")
    server.start()
    yield server
    server.close()


def assert_all_arrived_once(folder: Path, uri: str, undisturbed: Any) -> None:
    """Every run stands there once and ended, with each epoch once, and the table is the undisturbed one."""
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("outage")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    kinds = [run.data.tags["noisy_study.kind"] for run in runs]
    assert {kind: kinds.count(kind) for kind in kinds} == {"study": 1, "teacher": 1, "trial": TRIALS}
    trials = [run for run in runs if run.data.tags["noisy_study.kind"] == "trial"]
    assert len({run.data.tags["noisy_study.trial_id"] for run in trials}) == TRIALS
    for run in trials:
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "val_error")]
        assert steps == list(range(1, EPOCHS + 1))
    assert json_table(folder, uri) == undisturbed


def test_a_server_killed_and_started_again_has_everything(
    tmp_path: Path, server: TrackingServer, undisturbed: Any
) -> None:
    with running(tmp_path, server.uri) as study:
        study.wait_for_trials(2)
        server.kill()
        study.wait_for(lambda: "does not answer" in study.said)
        study.wait_for_trials(4)
        server.start()
        assert study.end() == 0, study.said
    assert study.said.count("does not answer") == 1
    assert_all_arrived_once(tmp_path, server.uri, undisturbed)


def test_a_server_that_hangs_holds_nothing_up(tmp_path: Path, server: TrackingServer, undisturbed: Any) -> None:
    with running(tmp_path, server.uri) as study:
        for _ in range(2):
            study.wait_for_trials(2)
            server.hang()
            study.wait_for_trials(4)
            server.wake()
        assert study.end() == 0, study.said
    assert_all_arrived_once(tmp_path, server.uri, undisturbed)


def test_what_a_server_that_never_came_back_has_missed_is_delivered_later(
    tmp_path: Path, server: TrackingServer, undisturbed: Any
) -> None:
    with running(tmp_path, server.uri) as study:
        study.wait_for_trials(2)
        server.kill()
        assert study.end() == 1
    assert "deliver them by: noisy-study sync outage" in study.said
    assert "Traceback" not in study.said
    still_away = command(tmp_path, server.uri, "sync", "outage")
    assert still_away.returncode == 1
    assert "does not answer" in still_away.stderr
    assert len(still_away.stderr.strip().splitlines()) == 1
    server.start()
    delivered = command(tmp_path, server.uri, "sync", "outage")
    assert delivered.returncode == 0, delivered.stderr
    assert_all_arrived_once(tmp_path, server.uri, undisturbed)
    again = command(tmp_path, server.uri, "sync", "outage")
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing waited" in again.stderr


def test_a_database_that_restarts_behind_the_server_loses_nothing(tmp_path: Path, undisturbed: Any) -> None:
    with running_postgresql() as database:
        (tmp_path / "server").mkdir()
        server = TrackingServer(tmp_path / "server", database.new_database())
        server.start()
        try:
            with running(tmp_path, server.uri) as study:
                study.wait_for_trials(2)
                database.stop_at_once()
                study.wait_for(lambda: "does not answer" in study.said)
                study.wait_for_trials(4)
                database.start_again()
                assert study.end() == 0, study.said
            assert_all_arrived_once(tmp_path, server.uri, undisturbed)
        finally:
            server.close()
