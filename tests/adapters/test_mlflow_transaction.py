"""Writes that share a transaction leave in MLflow what writes one by one leave there."""

import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import event

from study.adapters import mlflow_transaction
from study.adapters.mlflow_transaction import Abandoned, one_transaction


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a block may take any time."""
    monkeypatch.setattr(mlflow_transaction, "SECONDS", float("inf"))


def store_of(client: MlflowClient) -> SqlAlchemyStore:
    store: SqlAlchemyStore = client._tracking_client.store
    return store


def commits_of(client: MlflowClient) -> list[object]:
    """Grows with every commit that changes something."""
    commits: list[object] = []
    wrote: list[object] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("SELECT", "PRAGMA")):
            wrote.append(statement)

    def count(connection: Any) -> None:
        if wrote:
            commits.append(list(wrote))
            wrote.clear()

    event.listen(store_of(client).engine, "before_cursor_execute", note)
    event.listen(store_of(client).engine, "commit", count)
    return commits


def write(client: MlflowClient, experiment: str, name: str) -> str:
    """A run with everything that a trial has."""
    run_id = str(client.create_run(experiment, start_time=1000, tags={"kind": "trial"}, run_name=name).info.run_id)
    for step in (1, 2):
        metrics = [Metric("val_error", 0.5 / step, 1000 + step, step), Metric("nan", float("nan"), 1000, step)]
        params = [Param("σ", "0.5"), Param("long", "x" * 400)] if step == 1 else []
        client.log_batch(run_id, metrics, params, [RunTag("outcome", str(step))], synchronous=True)
    client.set_tag(run_id, "outcome", "completed")
    client.set_terminated(run_id, "FINISHED", 2000)
    return run_id


def content(client: MlflowClient, experiment: str) -> dict[str, Any]:
    """Everything of every run but its id."""
    return {
        run.info.run_name: (
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.data.params,
            repr(sorted(run.data.metrics.items())),
            {name: value for name, value in run.data.tags.items() if name != "mlflow.user"},
            [
                repr((each.value, each.step, each.timestamp))
                for name in run.data.metrics
                for each in _history(client, run, name)
            ],
        )
        for run in client.search_runs([experiment])
    }


def _history(client: MlflowClient, run: Any, name: str) -> list[Metric]:
    return list(client.get_metric_history(run.info.run_id, name))


def test_the_runs_are_those_of_single_writes(tmp_path: Path) -> None:
    together, alone = (MlflowClient(f"sqlite:///{tmp_path / name}.db") for name in ("together", "alone"))
    commits, experiment = commits_of(together), together.create_experiment("it")
    assert alone.create_experiment("it") == experiment
    commits.clear()
    with one_transaction(together):
        for name in ("a", "b", "c"):
            write(together, experiment, name)
        assert not commits
    assert len(commits) == 1
    for name in ("a", "b", "c"):
        write(alone, experiment, name)
    assert content(together, experiment) == content(alone, experiment)
    assert len(content(together, experiment)) == 3


def test_a_long_block_commits_between_writes(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that others who write to the database need not wait."""
    monkeypatch.setattr(mlflow_transaction, "SECONDS", 0.0)
    client = MlflowClient(uri)
    experiment, commits = client.create_experiment("it"), commits_of(client)
    with one_transaction(client):
        client.create_run(experiment, run_name="a")
        assert len(commits) == 1
        client.create_run(experiment, run_name="b")
    assert len(commits) == 2


def test_an_error_takes_back_the_writes_before_it(uri: str) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment("it")

    def fail() -> None:
        with one_transaction(client):
            write(client, experiment, "a")
            client.set_tag("0" * 32, "of", "no run")

    with pytest.raises(MlflowException, match="not found"):
        fail()
    assert content(client, experiment) == {}
    write(client, experiment, "b")
    assert list(content(client, experiment)) == ["b"]


def test_a_write_that_mlflow_repairs_is_abandoned(uri: str) -> None:
    """A metric that is there already: MLflow rolls back, and writes the others again."""
    client = MlflowClient(uri)
    experiment = client.create_experiment("it")
    run_id = write(client, experiment, "a")
    before = content(client, experiment)

    def again() -> None:
        with one_transaction(client):
            write(client, experiment, "b")
            client.log_metric(run_id, "val_error", 0.5, 1001, 1)

    with pytest.raises(Abandoned):
        again()
    assert content(client, experiment) == before
    client.log_metric(run_id, "val_error", 0.5, 1001, 1)
    assert content(client, experiment) == before


def test_other_threads_commit_as_before(uri: str) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment("it")
    threads = [threading.Thread(target=client.create_run, args=(experiment,), kwargs={"run_name": "other"})]
    with one_transaction(client):
        client.search_experiments()
        for thread in threads:
            thread.start()
            thread.join()
        assert [run.info.run_name for run in MlflowClient(uri).search_runs([experiment])] == ["other"]
        write(client, experiment, "ours")
    assert set(content(client, experiment)) == {"other", "ours"}


def test_another_version_commits_every_write(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "__version__", "3.99.0")
    client = MlflowClient(uri)
    experiment = client.create_experiment("it")
    with one_transaction(client):
        write(client, experiment, "a")
        assert list(content(MlflowClient(uri), experiment)) == ["a"]
        assert not isinstance(store_of(client).ManagedSessionMaker, mlflow_transaction._Sessions)
