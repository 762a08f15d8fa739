"""Where the tracking server is, and how long to wait for it.

Works on addresses and on the environment MLflow reads. Imports nothing heavy: the command line uses it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from filelock import FileLock

from study.errors import UserError

DEFAULT_URI = "sqlite:///mlflow.db"

# Read by MLflow at the time of a request. A closed port would otherwise hold a client for four minutes, a server
# that hangs for twenty. No retries below us: MLflow retries a POST, and one run would become several.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


def bound_requests() -> None:
    """Bound MLflow's patience and silence it, unless the environment says otherwise; before MLflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or the default store in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def without_credentials(uri: str) -> str:
    """An address fit for a terminal, a log or a file."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn whatever a tracking server that does not answer raises into one line.

    Raises:
        UserError: names the address, without credentials.
    """
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
        reason = " ".join(str(error).split()).replace(uri, without_credentials(uri))
        raise UserError(
            f"the tracking server {without_credentials(uri)} does not answer ({reason[:160]}); "
            "start it, or set MLFLOW_TRACKING_URI"
        ) from None


@contextmanager
def first_opening(uri: str) -> Iterator[None]:
    """One process at a time where a SQLite store may have to be made: two at once break MLflow's migration.

    Raises:
        UserError: the store's folder does not exist.
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    database = Path(uri.removeprefix("sqlite:///"))
    if not database.parent.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI {uri}: there is no folder {database.parent}; make it first")
    with FileLock(database.with_name(f"{database.name}.lock")):
        yield
