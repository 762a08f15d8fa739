"""Private parts of libraries: the installed versions have them, and another version gets the public interface."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
import ray
import torch
from optuna.samplers import GPSampler, TPESampler
from optuna.storages import RDBStorage
from ray._private.node import Node
from ray.job_submission import JobSubmissionClient
from ray.tune.execution.tune_controller import TuneController
from torch import nn

from study.adapters import (
    glibc,
    mlflow_history,
    mlflow_transaction,
    onednn,
    optuna_gp,
    optuna_storage,
    optuna_tpe,
    ray_jobs,
    ray_local,
    ray_messages,
    ray_workers,
    torch_export,
)
from study.adapters.versions import is_version

CHECKS: list[tuple[Any, Callable[[], bool]]] = [
    (mlflow, mlflow_history.has_pages),
    (mlflow, mlflow_transaction.has_sessions),
    (optuna, optuna_gp.judges_within_results),
    (optuna, optuna_storage.remembers_writes),
    (optuna, optuna_tpe.reads_once),
    (ray, ray_jobs.has_time_limits),
    (ray, ray_local.can_forget_token),
    (ray, ray_local.can_spare_processes),
    (ray, ray_local.can_start_sessions),
    (ray, ray_local.has_switch),
    (ray, ray_messages.can_silence),
    (ray, ray_workers.can_let_workers_start),
]
SHAPES: list[tuple[Callable[[], bool], str]] = [
    (mlflow_history.has_pages, "mlflow.store.tracking.abstract_store.AbstractStore.get_metric_history"),
    (mlflow_transaction.has_sessions, "mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore.__init__"),
    (optuna_gp.judges_within_results, "optuna.samplers.GPSampler._sample_relative_impl"),
    (optuna_storage.remembers_writes, "study.adapters.optuna_storage._CachedStorage._get_cached_trial"),
    (optuna_storage.remembers_writes, "study.adapters.optuna_storage.models"),
    (optuna_tpe.reads_once, "optuna.samplers.TPESampler._compare"),
    (ray_jobs.has_time_limits, "ray.dashboard.modules.dashboard_sdk.SubmissionClient._do_request"),
    (ray_local.can_forget_token, "study.adapters.ray_local.AuthenticationTokenLoader"),
    (ray_local.can_spare_processes, "ray._private.node.Node.start_api_server"),
    (ray_local.can_start_sessions, "ray._private.services.ConsolePopen"),
    (ray_local.has_switch, "ray._private.ray_constants.ENABLE_RAY_CLUSTER"),
    (ray_messages.can_silence, "study.adapters.ray_messages.stdout_deduplicator"),
    (ray_workers.can_let_workers_start, "study.adapters.ray_workers._reuse"),
]


def _name(check: object) -> str:
    return f"{check.__module__}.{getattr(check, '__name__', '')}" if callable(check) else ""


@pytest.mark.parametrize(("library", "check"), CHECKS, ids=_name)
def test_the_installed_version_has_the_private_part(library: Any, check: Callable[[], bool]) -> None:
    assert check()


@pytest.mark.parametrize(("library", "check"), CHECKS, ids=_name)
def test_another_version_is_not_trusted(
    library: Any, check: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "__version__", "99.0.0")
    assert not check()


@pytest.mark.parametrize(("check", "part"), SHAPES, ids=_name)
def test_another_shape_is_not_trusted(check: Callable[[], bool], part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`object()` is no function, no switch and no class with the parts that are used."""
    if part.endswith("_get_cached_trial"):
        monkeypatch.delattr(part)
    else:
        monkeypatch.setattr(part, object())
    assert not check()


@pytest.mark.parametrize(
    ("installed", "same"), [("2.60.0", True), ("2.60.7", True), ("2.60.0+cpu", True), ("2.6.0", False), ("3.60", False)]
)
def test_a_patch_release_is_the_same_version(installed: str, same: bool) -> None:
    assert is_version(installed, "2.60") == same


@pytest.fixture
def other_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optuna.__version__", "5.99.0")


@pytest.fixture
def other_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.__version__", "2.99.0")


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.usefixtures("other_optuna")
def test_another_optuna_proposes_by_its_own_tpe() -> None:
    assert type(optuna_tpe.tpe(0, 5, optuna_tpe.EndedTrials())) is TPESampler


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.usefixtures("other_optuna")
def test_another_optuna_proposes_by_its_own_gp() -> None:
    assert type(optuna_gp.gp(0, lambda _: False, seed=0)) is GPSampler


@pytest.mark.usefixtures("other_optuna")
def test_another_optuna_writes_to_its_own_storage(tmp_path: Path) -> None:
    database = RDBStorage(f"sqlite:///{tmp_path / 'journal.db'}")
    assert optuna_storage.sole_writer(database) is database


@pytest.mark.usefixtures("other_ray")
def test_another_ray_reuses_workers_in_its_own_way() -> None:
    before = TuneController._maybe_reuse_cached_actor
    assert not ray_workers.let_workers_start()
    assert TuneController._maybe_reuse_cached_actor is before


def test_this_ray_reuses_workers_in_our_way(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ray_workers._reuse
    monkeypatch.setattr(TuneController, ray_workers.METHOD, own)
    assert ray_workers.let_workers_start()
    assert TuneController._maybe_reuse_cached_actor is not own


def test_this_ray_listens_on_this_machine_by_its_switch() -> None:
    with ray_local.only_this_machine():
        assert not ray._private.ray_constants.ENABLE_RAY_CLUSTER
    assert ray._private.ray_constants.ENABLE_RAY_CLUSTER


@pytest.mark.parametrize(
    ("version", "logs", "left"),
    [
        ("2.60.0", False, []),
        ("2.60.0", True, ["start_log_monitor"]),
        ("2.99.0", False, [*ray_local.SPARED, "start_log_monitor"]),
    ],
)
def test_only_this_ray_starts_without_spare_processes(
    version: str, logs: bool, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.__version__", version)
    names = (*ray_local.SPARED, ray_local.LOGS)
    before = {name: getattr(Node, name) for name in names}
    with ray_local.without_spare_processes(logs):
        assert [name for name in names if getattr(Node, name) is before[name]] == left
    assert {name: getattr(Node, name) for name in names} == before


def test_every_local_ray_has_a_token_of_its_own() -> None:
    assert len({ray_local.new_token() for _ in range(3)}) == 3


@pytest.mark.usefixtures("other_ray")
def test_another_ray_keeps_one_token_per_process() -> None:
    """It cannot forget the first one."""
    (token,) = {ray_local.new_token() for _ in range(3)}
    assert len(token) == 64


@pytest.mark.parametrize("version", ["2.60.0", "2.99.0"])
def test_requests_to_jobs_are_bounded_where_possible(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.__version__", version)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(JobSubmissionClient, "__init__", lambda self, address: None)

    def request(
        self: object, method: str, endpoint: str, *, data: Any = None, json_data: Any = None, **kwargs: Any
    ) -> None:
        sent.append(kwargs)

    monkeypatch.setattr(JobSubmissionClient, "_do_request", request)
    client: Any = ray_jobs.job_client("http://127.0.0.1:1", lambda endpoint: (1.0, len(endpoint)))
    client._do_request("GET", "/api")
    assert sent == [{"timeout": (1.0, 4)} if version == "2.60.0" else {}]


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")  # type: ignore[no-untyped-call]
def test_the_installed_torch_has_the_product() -> None:
    assert onednn.can_multiply()


@pytest.mark.parametrize("changed", ["version", "signature"])
def test_another_torch_multiplies_as_it_does(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if changed == "version":
        monkeypatch.setattr("torch.__version__", "2.99.0")
    else:
        monkeypatch.setattr(onednn, "SIGNATURE", "(Tensor X)")
    monkeypatch.setattr(onednn, "LEAST_WEIGHTS", 0)
    network = nn.Sequential(nn.Linear(4, 3))
    before = network[0].forward
    onednn.multiply_with_onednn(network)
    assert not onednn.can_multiply()
    assert network[0].forward == before


def test_the_error_of_a_network_that_cannot_be_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    own = torch_export.cannot_be_traced()
    assert f"{own.__module__}.{own.__name__}" == "torch._dynamo.exc.UserError"
    monkeypatch.setattr("torch.__version__", "2.99.0")
    assert torch_export.cannot_be_traced() is RuntimeError


def test_without_glibc_memory_is_managed_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not glibc.keep_freed_memory()


def test_a_setting_that_is_refused_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def mallopt(self, name: int, value: int) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Refusing())
    assert not glibc.keep_freed_memory()
