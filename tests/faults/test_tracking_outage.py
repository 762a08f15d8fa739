"""The tracking server goes away in mid-study: training goes on, and what it is to hear arrives once, in order."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disturbed import SMALL, Document, Driver, Study, unharmed
from support.mlflow_server import MLflowServer, mlflow_server
from support.postgresql import PostgreSQL, running_postgresql
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.faults

SLOW: Document = {**SMALL, "train": {**SMALL["train"], "epochs": 60, "batch_size": 16}}
"""Trials still run once an outage is noticed, which takes three seconds."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MLflowServer]:
    with mlflow_server(f"sqlite:///{tmp_path / 'server.db'}", tmp_path) as server:
        yield server


@pytest.fixture
def database() -> Iterator[PostgreSQL]:
    with running_postgresql() as database:
        yield database


def _until_trials_ended(study: Study, driver: Driver, more: int) -> None:
    """Wait until so many more trials are on the disk."""

    def ended() -> int:
        return sum(1 for _ in study.trials.glob("*/result.json"))

    wanted = ended() + more
    driver.until(lambda: ended() >= wanted, f"{more} more trials end")


def _goes_on_without_it(study: Study, driver: Driver) -> None:
    """The outage is noticed, and trials end in it all the same."""
    driver.until(lambda: "does not answer" in driver.stderr, "the outage is noticed")
    _until_trials_ended(study, driver, 1)


def test_a_server_killed_and_started_again_has_everything(
    tmp_path: Path, server: MLflowServer, undisturbed: Undisturbed
) -> None:
    study = Study(tmp_path / "study", SLOW, server.uri)
    with study.start() as driver:
        _until_trials_ended(study, driver, 1)
        server.kill()
        _goes_on_without_it(study, driver)
        server.start()
        driver.finishes()
    assert driver.stderr.count("does not answer") == 1
    unharmed(study, undisturbed(SLOW), "the tracking server is killed and started again", 1)


def test_a_server_that_hangs_holds_nothing_up(tmp_path: Path, server: MLflowServer, undisturbed: Undisturbed) -> None:
    study = Study(tmp_path / "study", SLOW, server.uri)
    with study.start() as driver:
        _until_trials_ended(study, driver, 1)
        server.hang()
        _goes_on_without_it(study, driver)  # so a request was given up, which the server carries out when it wakes up
        server.wake()
        driver.finishes()
    assert driver.stderr.count("answers again") == 1
    unharmed(study, undisturbed(SLOW), "the tracking server hangs and wakes up", 1)


def test_missed_records_are_delivered_later(tmp_path: Path, server: MLflowServer, undisturbed: Undisturbed) -> None:
    """What a server that never came back has missed is delivered later."""
    study = Study(tmp_path / "study", SLOW, server.uri)
    with study.start() as driver:
        _until_trials_ended(study, driver, 1)
        server.kill()
        assert driver.ends() == 1
    assert "send them with: noisy-study sync small" in driver.stderr
    assert "Traceback" not in driver.stderr
    with study.command("sync", study.name) as away:
        assert away.ends() == 1
    assert "does not answer" in away.stderr
    assert away.stderr.count("\n") == 1
    server.start()
    with study.command("sync", study.name) as delivered:
        assert delivered.ends() == 0, delivered.stderr
    unharmed(study, undisturbed(SLOW), "the tracking server never comes back; `sync` later", 1)
    with study.command("sync", study.name) as again:
        assert again.ends() == 0
    assert "no events were waiting" in again.stderr
    assert again.stdout == ""


def test_restarting_database_loses_nothing(tmp_path: Path, database: PostgreSQL, undisturbed: Undisturbed) -> None:
    """The database restarts behind the tracking server."""
    with mlflow_server(database.new_database(), tmp_path) as server:
        study = Study(tmp_path / "study", SLOW, server.uri)
        with study.start() as driver:
            _until_trials_ended(study, driver, 1)
            database.stop_at_once()
            _goes_on_without_it(study, driver)
            database.start_again()
            driver.finishes()
        unharmed(study, undisturbed(SLOW), "PostgreSQL stops at once behind the tracking server", 1)
