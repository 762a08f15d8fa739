"""Keeps MLflow's server to the artifacts of its own store.

Works on the locations of artifacts, in the process of a server. Without it, a client may create an experiment whose
artifacts are in a folder of the client's choice. A link in that folder leads the server to every file of its owner.

A location is permitted in the server's own places (`--artifacts-destination`, `--default-artifact-root`), and in the
location of an experiment that the store has. No client can create an experiment elsewhere. So an experiment that is
elsewhere was made by a process that writes to the store's database.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from study import environment
from study.errors import StudyFailed
from study.tracking.pages import all_of

_PROXIED = "mlflow-artifacts"
"""The scheme of what the server itself keeps below its destination."""

_INDIRECT = ("runs", "models")
"""Schemes that MLflow resolves to another location, for which it asks again."""


def is_within(location: str, place: str) -> bool:
    """Whether a location is a place, or below it. Links in local paths are followed first.

    Args:
        location: a path or an address, as MLflow has it.
        place: a path or an address that is permitted.
    """
    folder, outer = _local(location), _local(place)
    if folder is not None and outer is not None:
        return folder.resolve().is_relative_to(outer.resolve())
    if folder is not None or outer is not None or ".." in location.split("/"):
        return False
    return f"{location.rstrip('/')}/".startswith(f"{place.rstrip('/')}/")


def keep_to_store(store: str) -> None:
    """Let MLflow's server in this process refuse every location outside of its store.

    Args:
        store: the address of the server's database.

    Raises:
        StudyFailed: MLflow's classes are not those that this was written for. The server must not start then.
    """
    from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    create: Callable[..., Any] = SqlAlchemyStore.create_experiment
    resolve: Callable[..., Any] = ArtifactRepositoryRegistry.get_artifact_repository
    if (arguments := (_arguments(create), _arguments(resolve))) != _WRITTEN_FOR:
        raise StudyFailed(f"this version of MLflow has other classes ({arguments}); install MLflow 3.17")
    known: set[str] = set()

    def create_experiment(self: Any, name: str, artifact_location: str | None = None, tags: Any = None) -> Any:
        if artifact_location and not _is_permitted(artifact_location, _own_places()):
            raise _refusal(artifact_location)
        return create(self, name, artifact_location, tags)

    def get_artifact_repository(
        self: Any, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> Any:
        if not _is_permitted(artifact_uri, {*_own_places(), *known}):
            known.update(_locations_of(store))
            if not _is_permitted(artifact_uri, known):
                raise _refusal(artifact_uri)
        return resolve(self, artifact_uri, tracking_uri, registry_uri)

    for of, method in ((SqlAlchemyStore, create_experiment), (ArtifactRepositoryRegistry, get_artifact_repository)):
        setattr(of, method.__name__, method)


_WRITTEN_FOR = (
    ["self", "name", "artifact_location", "tags"],
    ["self", "artifact_uri", "tracking_uri", "registry_uri"],
)


def _arguments(method: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(method).parameters)


def _own_places() -> set[str]:
    return set(environment.artifact_places())


def _is_permitted(location: str, places: set[str]) -> bool:
    parts = urlsplit(location)
    if parts.scheme in _INDIRECT or (parts.scheme == _PROXIED and not parts.netloc):
        return ".." not in parts.path.split("/")
    return any(is_within(location, place) for place in places)


def _locations_of(store: str) -> set[str]:
    """The locations of all experiments of a store."""
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient(store)
    found = all_of(lambda token: client.search_experiments(view_type=ViewType.ALL, page_token=token))
    return {str(each.artifact_location) for each in found}


def _local(location: str) -> Path | None:
    """The folder that a location means on this machine; None if it is somewhere else."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    parts = urlsplit(location)
    if parts.scheme not in ("", "file") or (parts.scheme == "file" and parts.netloc not in ("", "localhost")):
        return None
    to_path: Callable[[str], str] = local_file_uri_to_path
    return Path(to_path(location))


def _refusal(location: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    return MlflowException(
        f"artifacts at {location} are outside of this server's store, and are refused", INVALID_PARAMETER_VALUE
    )
