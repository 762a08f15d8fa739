"""Where MLflow keeps the artifacts of a study, and whether they may be written there.

Works on addresses and paths. MLflow writes an absolute folder into a SQLite store when an experiment is made. After the
store was copied or moved, that folder is still the original's. A tracking server names the place of each run, and could
name any folder of this machine.
"""

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from study.errors import UserError
from study.tracking.address import sqlite_file


class Place(Protocol):
    """What is used of MLflow's `ArtifactRepository`."""

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Write one file, in a folder of the place where one is named."""

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Write all files of a folder."""


_ELSEWHERE = frozenset(
    (
        "mlflow-artifacts",
        "http",
        "https",
        "s3",
        "r2",
        "b2",
        "gs",
        "wasbs",
        "abfss",
        "hdfs",
        "viewfs",
        "dbfs",
        "ftp",
        "sftp",
    )
)
"""Schemes of places that are not on this machine: a server with its own files, and stores of objects."""


def misplaced(uri: str, location: str) -> str | None:
    """Why artifacts must not be written to a location, in one line; None where they may.

    Args:
        uri: of the tracking server. A SQLite file that has no server can be copied with a study. A server over HTTP may
            belong to somebody else.
        location: of the experiment's or a run's artifacts, as MLflow has it.
    """
    if uri.startswith(("http://", "https://")):
        if urlsplit(location).scheme in _ELSEWHERE:
            return None
        return (
            f"the tracking server keeps artifacts in {location}, a folder on this machine, which a server must not "
            "choose; start it with an artifact store of its own (mlflow server --artifacts-destination)"
        )
    return _of_another_store(uri, location)


def place_of(uri: str, location: str) -> Place:
    """Where artifacts are written to. It is made of the location that was checked: a server may name another one later.

    Args:
        uri: of the tracking server.
        location: as in `misplaced`.

    Raises:
        UserError: artifacts must not be written there.
    """
    if (why_not := misplaced(uri, location)) is not None:
        raise UserError(why_not)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place: Place = get_artifact_repository(location, tracking_uri=uri)
    return place


def _of_another_store(uri: str, location: str) -> str | None:
    store, folder = sqlite_file(uri), unquote(location.removeprefix("file://"))
    if store is None or not folder.startswith("/"):
        return None
    here = store.resolve()
    # MLflow's default is `mlruns/EXPERIMENT` of the folder that the process worked in when the store was made.
    root = next((parent for parent in Path(folder).parents if parent.name == "mlruns"), None)
    if root is None or root.resolve().parent == here.parent:
        return None
    other = root.parent / here.name
    copied = other.exists() and other.resolve() != here
    moved = not root.exists() and (here.parent / root.name).exists()
    if not copied and not moved:
        return None
    return (
        f"the store {here} was {'copied' if copied else 'moved'} from {root.parent}, and MLflow would write the "
        f"artifacts to {folder}"
    )
