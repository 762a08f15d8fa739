"""A real MLflow store, and studies written into it by hand, in the shape of the tracking schema.

A pytest plugin: a module that names it in `pytest_plugins` has its fixtures, and they share one store.
It asserts nothing (PYTEST_DONT_REWRITE: it is imported before it is a plugin).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from study.tracking import schema

T0 = 1_700_000_000_000

COMMON: dict[str, object] = {
    "dataset": "mnist",
    "teacher": "lenet-mnist",
    "student": "fc800",
    "method": "noisy_teacher",
    "sigma_mode": "fixed",
    "noise": "fresh",
    "multiplications": 1_275_200,
    "parameters": 1_276_810,
    "teacher_multiplications": 2_293_000,
    "epochs": 20,
    "lr": 0.001,
}
BASELINE: dict[str, object] = {"method": "logit_regression", "sigma": "0.0", "alpha": "0.0"}

# Of the study that the fixture `searched` writes.
SEARCHED_BASELINE = "searched: 2 trials over lr, as many as the arms"

# Of the study that the fixture `mnist` writes.
BASELINE_ERRORS = {0: 0.0101, 1: 0.0094, 2: 0.0103, 3: 0.0098, 4: 0.0092}


class Writer:
    """Writes one study, run by run; runs begin a second apart in the order they are written."""

    def __init__(self, client: MlflowClient, name: str, params: Mapping[str, object] | None = None) -> None:
        self.name = name
        self._client = client
        self._experiment = client.create_experiment(name)
        self._written = 0
        self.parent = self.run({schema.KIND: "study"}, params or {}, {})

    def run(
        self,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        *,
        status: str = "FINISHED",
        ended: int | None = None,
    ) -> str:
        """One run of any kind; `ended` is in seconds after the first."""
        began = T0 + 1000 * self._written
        self._written += 1
        run_id = str(self._client.create_run(self._experiment, start_time=began, tags=dict(tags)).info.run_id)
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, began, 1) for name, value in metrics.items()],
            params=[Param(name, str(value)) for name, value in params.items()],
            tags=[RunTag("note", "by hand")],
        )
        if status != "RUNNING":
            self._client.set_terminated(run_id, status, T0 + 1000 * ended if ended is not None else began + 500)
        return run_id

    def trial(
        self,
        seed: int,
        error: float | None,
        *,
        role: str = "arm",
        stage: str = "grid",
        outcome: str | None = "completed",
        ended: int | None = None,
        epochs_trained: int | None = None,
        **params: Any,
    ) -> str:
        tags = {schema.KIND: "trial", schema.PARENT: self.parent, schema.ROLE: role, schema.STAGE: stage}
        if outcome is not None:
            tags[schema.OUTCOME] = outcome
        return self.run(
            tags,
            {**COMMON, **(BASELINE if role == "baseline" else {}), **params, "seed": seed},
            {
                schema.BEST_VAL_ERROR: 0.5,
                **({} if error is None else {schema.TEST_ERROR: error}),
                **({} if epochs_trained is None else {schema.EPOCHS_TRAINED: epochs_trained}),
            },
            status="RUNNING" if outcome is None else "FINISHED",
            ended=ended,
        )

    def arm(self, errors: Mapping[int, float], *, role: str = "arm", stage: str = "grid", **params: Any) -> None:
        for seed, error in errors.items():
            self.trial(seed, error, role=role, stage=stage, **params)

    def baseline(self, errors: Mapping[int, float], **params: Any) -> None:
        self.arm(errors, role="baseline", **params)

    def teacher(self, network: str, error: float, **params: Any) -> None:
        self.run(
            {schema.KIND: "teacher", schema.PARENT: self.parent, schema.ROLE: "teacher", schema.OUTCOME: "completed"},
            {"dataset": "mnist", "teacher": network, "seed": 0, **params},
            {schema.TEST_ERROR: error},
        )


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
def searched(client: MlflowClient) -> str:
    """A study without a grid: both sides searched their learning rate, and the winners were confirmed."""
    study = Writer(client, "searched", {schema.BASELINE_KIND: SEARCHED_BASELINE})
    for lr, role, outcome, epochs in (
        (0.001, "arm", "completed", 15),
        (0.003, "arm", "completed", 15),
        (0.01, "arm", "pruned", 4),
        (0.03, "arm", "pruned", 1),
        (0.1, "arm", "diverged", 2),
        (0.001, "baseline", "completed", 15),
        (0.003, "baseline", "pruned", 3),
    ):
        noise: dict[str, Any] = {} if role == "baseline" else {"sigma": 10 * lr, "alpha": 0.5}
        study.trial(9, None, role=role, stage="search", outcome=outcome, epochs_trained=epochs, lr=lr, **noise)
    study.baseline({0: 0.020, 1: 0.022, 2: 0.021}, stage="confirm", lr=0.001, epochs_trained=15)
    study.arm({0: 0.019, 1: 0.023, 2: 0.020}, stage="confirm", lr=0.001, sigma=0.01, alpha=0.5, epochs_trained=15)
    study.arm({0: 0.018, 1: 0.021, 2: 0.022}, stage="confirm", lr=0.003, sigma=0.03, alpha=0.5, epochs_trained=15)
    return study.name


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
