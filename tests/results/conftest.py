"""A real MLflow store, made once, and a study with everything a study has."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from handwritten import BASELINE_ERRORS, Writer
from mlflow import MlflowClient

from study.tracking import schema


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an MLflow store that all tests of this folder share."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="session")
def client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def new_study(client: MlflowClient, request: pytest.FixtureRequest) -> Callable[..., Writer]:
    """Begin a study of its own for this test; keyword arguments are parameters of its parent run."""

    def begin(**params: object) -> Writer:
        return Writer(client, request.node.name.replace("[", "-").replace("]", "")[:90], params)

    return begin


@pytest.fixture(scope="session")
def mnist(client: MlflowClient) -> str:
    """A study with everything a study has: grid, search and confirmed points, a teacher, trials that went wrong."""
    study = Writer(client, "mnist-table-1", {schema.PUBLISHED: "table-1"})
    study.teacher("lenet-mnist", 0.0071)
    study.arm({0: 0.0089, 1: 0.0085, 2: 0.0090, 3: 0.0086, 4: 0.0081}, sigma=0.5, alpha=0.15)
    study.arm({0: 0.0104, 1: 0.0091, 2: 0.0099, 3: 0.0102, 4: 0.0090}, sigma=0.1, alpha=0.15)
    study.arm(
        {0: 0.0099, 1: 0.0095, 2: 0.0100, 3: 0.0097, 4: 0.0093}, sigma="[0.01, 1.0]", sigma_mode="uniform", alpha=0.15
    )
    study.baseline(BASELINE_ERRORS)
    for seed in (0, 1):
        study.trial(9, 0.0001, stage="search", sigma=0.43 + seed, alpha=0.3)
    study.arm({0: 0.0117, 1: 0.0111, 2: 0.0116, 3: 0.0115, 4: 0.0110}, stage="confirm", sigma=0.437, alpha=0.31)
    study.trial(0, None, outcome="diverged", sigma=5, alpha=0.15)
    study.trial(1, None, outcome="failed", sigma=5, alpha=0.15)
    study.trial(2, None, outcome=None, sigma=5, alpha=0.15)
    return study.name
