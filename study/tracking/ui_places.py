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
    one, other = urlsplit(location), urlsplit(place)
    inner_path, outer_path = (f"{parts.path.rstrip('/')}/" for parts in (one, other))
    return (one.scheme, one.netloc) == (other.scheme, other.netloc) and inner_path.startswith(outer_path)


def keep_to_store(store: str) -> None:
    """Let MLflow's server in this process refuse every location outside of its store.

    Args:
        store: the address of the server's database.

    Raises:
        StudyFailed: MLflow's classes are not those that this was written for. The server must not start then.
    """
    from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry
    from mlflow.store.tracking.file_store import FileStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for stores in (SqlAlchemyStore, FileStore):
        _guard_experiments(stores)
    _guard_artifacts(ArtifactRepositoryRegistry, store)


def _guard_experiments(stores: type) -> None:
    """Let a class of stores make no experiment outside of the server's own places."""
    create = _method(stores, "create_experiment", ["self", "name", "artifact_location", "tags"])

    def create_experiment(self: Any, name: str, artifact_location: str | None = None, tags: Any = None) -> Any:
        if artifact_location and not _is_permitted(artifact_location, set(environment.artifact_places())):
            raise _refusal(artifact_location)
        return create(self, name, artifact_location, tags)

    setattr(stores, "create_experiment", create_experiment)  # noqa: B010 - the class is any store's


def _guard_artifacts(registry: type, store: str) -> None:
    """Let MLflow open no place but the server's own and those of the store's experiments."""
    resolve = _method(registry, "get_artifact_repository", ["self", "artifact_uri", "tracking_uri", "registry_uri"])
    known: set[str] = set()

    def get_artifact_repository(
        self: Any, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> Any:
        if not _is_permitted(artifact_uri, {*environment.artifact_places(), *known}):
            known.update(_locations_of(store))
            if not _is_permitted(artifact_uri, known):
                raise _refusal(artifact_uri)
        return resolve(self, artifact_uri, tracking_uri, registry_uri)

    setattr(registry, "get_artifact_repository", get_artifact_repository)  # noqa: B010 - as above


def _method(of: type, name: str, arguments: list[str]) -> Callable[..., Any]:
    """A method of MLflow that has these arguments.

    Raises:
        StudyFailed: it has others.
    """
    method: Callable[..., Any] = getattr(of, name)
    if list(inspect.signature(method).parameters) != arguments:
        raise StudyFailed(f"this version of MLflow has another {of.__name__}.{name}; install MLflow 3.17")
    return method


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
