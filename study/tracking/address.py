"""Where the tracking server is, and how long to wait for it.

Works on addresses and on the environment MLflow reads. Imports nothing heavy: the command line uses it.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import unquote

from filelock import FileLock

from study import environment
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
    return environment.tracking_uri() or DEFAULT_URI


_USER = re.compile(r"(https?://)[^\s/?#]*@|(?<![\w+.-])((?!https?:)\w[\w+.-]*://)(?!/)[^\n]*@")
_QUERY = re.compile(r"(?<=\w)\?\S*=[^\s,'\")]*")


def without_credentials(text: str) -> str:
    """An address, or a message that quotes one, without user, password and query: fit for a terminal or a log.

    A database's password may hold anything, so its address goes by the last `@` of the line.
    """
    return _QUERY.sub("", _USER.sub(r"\1\2", text))


def secrets_of(uri: str) -> list[str]:
    """What must not be told of an address: its password, as it stands there and decoded; the longest first."""
    _, _, rest = uri.partition("://")
    user, at, _ = rest.rpartition("@")
    password = user.partition(":")[2] if at and not rest.startswith("/") else ""
    return sorted({password, unquote(password)} - {""}, key=len, reverse=True)


def redacted_message(error: BaseException, *uris: str) -> str:
    """The first line of an error, without credentials: what a database quotes below it may be anything."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    for secret in (secret for uri in uris for secret in secrets_of(uri)):
        reason = reason.replace(secret, "***")
    return without_credentials(reason)[:200]


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, its database or the network raises into one line.

    Raises:
        UserError: names the address; no credentials, also where a message quotes them apart from it.
    """
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError, ImportError, ValueError) as error:
        reason = redacted_message(error, uri)
        code = error.error_code if isinstance(error, MlflowException) else None
        refused = code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")
        raise UserError(
            f"the tracking server {without_credentials(uri)} {'refuses' if refused else 'does not answer'} "
            f"({reason}); " + ("" if refused else "check that it runs and that MLFLOW_TRACKING_URI names it")
        ) from None


P = ParamSpec("P")
T = TypeVar("T")


def retry_read(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that reads from a tracking server, up to three times while it gives no answer.

    A busy server misses the short time that a request has. For reading only: what was written may have arrived.
    """
    from mlflow.exceptions import MlflowException, RestException
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    def is_silence(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and not isinstance(error, RestException)

    asking = Retrying(retry=retry_if_exception(is_silence), stop=stop_after_attempt(3), reraise=True)
    return asking(read, *args, **kwargs)


def store_exists(uri: str) -> bool:
    """Whether there is a store to ask; False for a SQLite file that is not there yet.

    Raises:
        UserError: the folder for a SQLite file does not exist.
    """
    if not uri.startswith("sqlite:///"):
        return True
    database = _sqlite_file(uri)
    if not database.parent.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI {uri}: there is no folder {database.parent}; make it first")
    return database.exists()


@contextmanager
def first_opening(uri: str) -> Iterator[None]:
    """One process at a time where a SQLite store may have to be made: two at once break MLflow's migration."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    database = _sqlite_file(uri)
    with FileLock(database.with_name(f"{database.name}.lock")):
        yield


def _sqlite_file(uri: str) -> Path:
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])
