"""What all tests share: silence, an empty working folder, and storages of every kind a journal and a study's runs can
lie in."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage
from support.mlflow_server import mlflow_server
from support.postgresql import PostgreSQL, running_postgresql
from support.reopened import Reopened

from study.running.journal import open_storage
from study.tracking.address import bound_requests

pytest_plugins = ["support.undisturbed", "support.fork_server", "support.without_ray"]

bound_requests()
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# `nohup` and a background job of a shell ignore signals, and a command that tests start would inherit that. Commands do
# not inherit a handler, and this one ignores the signal too.
for _each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_each) is signal.SIG_IGN:
        signal.signal(_each, lambda *_: None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most combinations as slow, and run the files of this folder first.

    Every sampler and scheduler runs on SQLite, and one of each on every storage; `make test-slow` has all combinations.
    The files of this folder run whole studies: a process that gets one last leaves the others without work.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "callspec" in vars(item) and _is_combination(item.callspec.params):
            item.add_marker("slow")
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent != here)


def _is_combination(parameters: dict[str, object]) -> bool:
    others = {parameters.get("sampler", "tpe"), parameters.get("scheduler", "asha")} - {"tpe", "asha"}
    return parameters.get("storage", "sqlite") != "sqlite" and bool(others)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with no address or data root from outside."""
    for name in (
        "MLFLOW_TRACKING_URI",
        "NOISY_STUDY_DATA",
        "NOISY_STUDY_ROOT",
        "OPTUNA_STORAGE",
        "RAY_ADDRESS",
        "RAY_API_SERVER_ADDRESS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A real PostgreSQL server."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql(postgresql_server: PostgreSQL) -> Callable[[], str]:
    """Gives the address of a new, empty database of a real PostgreSQL server."""
    return postgresql_server.new_database


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopened]:
    """An Optuna storage of each kind."""
    if request.param == "memory":
        only = InMemoryStorage()
        yield lambda: only
    elif request.param == "sqlite":
        yield lambda: open_storage(f"sqlite:///{tmp_path / 'journal.db'}")
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql_server")
        address = server.new_database()
        yield lambda: open_storage(address)
        server.close_connections(address)


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store with nothing in it. MLflow takes seconds to make one, and a copy is as good."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("new-store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def own_store(workspace: Path, new_store: Path) -> str:
    """Address of a new tracking store in the working folder."""
    shutil.copy(new_store, workspace / "mlflow.db")
    return f"sqlite:///{workspace / 'mlflow.db'}"


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "server"])
def tracking_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a new tracking store of each kind: a file, a real PostgreSQL database, a server in front of one."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)  # where a store without a server keeps its artifacts
        if request.param == "sqlite":
            yield f"sqlite:///{folder / 'mlflow.db'}"
            return
        database: str = request.getfixturevalue("postgresql")()
        if request.param == "postgresql":
            yield database
            return
        with mlflow_server(database, folder) as server:
            yield server.uri
