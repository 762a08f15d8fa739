"""The address of the tracking server, and the time limits of its requests.

Works on addresses and on the environment that MLflow reads. It imports no large package, because the command line uses
it.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from study import environment
from study.errors import StorageFull, TrackingUnavailable, UserError
from study.locks import held
from study.tracking.credentials import check_address, redacted_message, without_credentials

DEFAULT_URI = "sqlite:///mlflow.db"

# MLflow reads these at each request. By default, a closed port blocks a client for four minutes, and a server that
# hangs for twenty. MLflow must not retry: it would also retry a POST, and create the same run several times.
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
    """Limit how long MLflow waits, and what it prints, unless the environment says otherwise.

    Call it before MLflow is imported.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It prints a traceback for each error of a database, which is also raised and becomes one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def given_uri() -> str | None:
    """`MLFLOW_TRACKING_URI`; None if it is not set.

    Raises:
        UserError: its password is not percent-encoded.
    """
    uri = environment.tracking_uri()
    if uri is not None:
        check_address("MLFLOW_TRACKING_URI", uri)
    return uri


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or the default store in the working folder.

    Raises:
        UserError: as `given_uri`.
    """
    return given_uri() or DEFAULT_URI


_REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")
"""MLflow's error codes for a request that the server refuses. A retry would be refused too."""


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn every error of MLflow, its database or the network into one line.

    Raises:
        TrackingUnavailable: the server or its database does not answer; a retry may succeed.
        UserError: the server refuses, or the address cannot be used; a retry fails again.

    Both messages contain the address without its credentials. An address whose password is not percent-encoded is
    refused before the block runs.
    """
    check_address("the address of the tracking server", uri)
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError, ImportError, ValueError) as error:
        reason, server = redacted_message(error, uri), f"the tracking server {without_credentials(uri)}"
        if isinstance(error, MlflowException) and error.error_code in _REFUSALS and not _of_another_server(error):
            raise UserError(f"{server} refuses ({reason})") from None
        if (of_file := _sqlite_trouble(error, uri)) is not None:
            raise of_file from None
        silence = f"{server} does not answer ({reason}); check that it runs and that MLFLOW_TRACKING_URI names it"
        # An address that cannot be used, or a driver that is not installed. An answer that is no
        # JSON is a ValueError too, but that one comes from the server.
        of_address = isinstance(error, ArgumentError | ImportError | ValueError)
        if of_address and not isinstance(error, requests.RequestException | json.JSONDecodeError):
            raise UserError(silence) from None
        raise TrackingUnavailable(silence) from None
    except Exception as error:
        if not _is_of_library(error):
            raise
        raise TrackingUnavailable(
            f"{without_credentials(uri)} does not answer as an MLflow server does ({type(error).__name__}); check that "
            "MLFLOW_TRACKING_URI names an MLflow server"
        ) from None


def _of_another_server(error: Exception) -> bool:
    """Whether an error comes from a server that is not MLflow, such as a proxy: its answer is no JSON.

    MLflow makes one of its own error codes of the answer's status; of these, "forbidden" is a refusal all the same.
    """
    return str(error).startswith("API request to endpoint") and "error code 403" not in str(error)


def _is_of_library(error: BaseException) -> bool:
    """Whether a library raised an error: it could not read an answer. Our own mistakes are no outages."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return module.partition(".")[0] in ("mlflow", "google", "requests", "urllib3", "sqlalchemy", "json")


def _sqlite_trouble(error: BaseException, uri: str) -> UserError | None:
    """What is wrong with a SQLite store whose error lies under another one; None where neither reason is the cause."""
    if (file := sqlite_file(uri)) is None:
        return None
    under: BaseException | None = error
    while under is not None and not isinstance(under, sqlite3.Error):
        under = under.__cause__ or under.__context__
    code = getattr(under, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(f"the disk under {file} is full; free some space on it")
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # the low byte is the kind
        return TrackingUnavailable(f"another process has locked the database {file}; end it, or wait until it is done")
    return None


P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 3
"""How many times a read is tried. A busy server may not answer within the short time limit of one request."""


def retry_read(uri: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that reads from the tracking server; retry it while the server is unavailable.

    For reading only: a write that timed out may have reached the server.

    Raises:
        TrackingUnavailable: the server did not answer `ATTEMPTS` times.
        UserError: the server refuses; this is not retried.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

    def attempt() -> T:
        with answering(uri):
            return read(*args, **kwargs)

    retrying = Retrying(
        retry=retry_if_exception_type(TrackingUnavailable), stop=stop_after_attempt(ATTEMPTS), reraise=True
    )
    return retrying(attempt)


def store_exists(uri: str) -> bool:
    """Whether there is a store to read; False for a SQLite file that does not exist.

    Raises:
        UserError: the folder for a SQLite file does not exist.
    """
    if (database := sqlite_file(uri)) is None:
        return True
    if not database.parent.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI {uri}: the folder {database.parent} does not exist; create it first")
    return database.exists()


@contextmanager
def first_opening(uri: str) -> Iterator[None]:
    """Hold a lock while a SQLite store may be created. Two processes at the same time would break MLflow's
    migration."""
    if (database := sqlite_file(uri)) is None:
        yield
        return
    with held(database.with_name(f"{database.name}.lock")):
        yield


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite address; None for another address."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def same_address(one: str, other: str) -> bool:
    """Whether two addresses mean the same store. Of a SQLite file, relative and absolute paths are the same."""
    files = sqlite_file(one), sqlite_file(other)
    if files[0] is None or files[1] is None:
        return one == other
    return files[0].resolve() == files[1].resolve()
