"""Starts the MLflow UI on a store that has no server of its own.

Works on a store's address, a host and a port. Knows nothing of studies. `study/tracking/ui_app.py` is what it starts.
"""

import errno
import ipaddress
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from study import environment
from study.errors import StudyFailed, UserError
from study.interrupts import PATIENCE, taken_signals
from study.storage import make_root

Access = Literal["token", "login", "open"]
"""What a request must bring: the token of this start, a user with a password, or nothing."""

_APPS: dict[Access, str] = {"token": "noisy-study", "open": "noisy-study", "login": "noisy-study-login"}
"""MLflow's `--app-name`, as `pyproject.toml` declares them."""

PASSWORD_LENGTH = 12
"""The fewest characters of the password of MLflow's user `admin`."""


def server_address(host: str, port: int) -> str:
    """The address that a browser opens."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def new_token() -> str:
    """A token for one start: 256 random bits, in characters that an address and a cookie can have."""
    return secrets.token_urlsafe(32)


def token_file(port: int) -> Path:
    """The file from which programs of the same user read the token of the server on a port."""
    return environment.study_root() / f"ui-{port}.token"


@contextmanager
def kept_token(file: Path, token: str) -> Iterator[None]:
    """Keep the token in a file that only its owner can read, for the length of a with block.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        make_root(file.parent)
        file.unlink(missing_ok=True)
        # With O_EXCL the file is new, so nobody else has it open, and no link leads elsewhere.
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(token)
    except OSError as error:
        raise UserError(
            f"cannot write {file}: {error.strerror or error}; set NOISY_STUDY_ROOT to another folder"
        ) from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def others_can_read(descriptor: int) -> bool:
    """Whether an open file is one on the disk that other users may read. A terminal or a pipe is none."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:  # it is closed
        return False
    return stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH) != 0


def check_host(host: str, access: Access) -> None:
    """Refuse to listen on a network without a login.

    Raises:
        UserError: other machines can reach this host, and there is no login.
    """
    if access != "login" and not _is_loopback(host):
        raise UserError(
            f"--host {host}: everyone who reaches this address could change every run; add --auth to require a user "
            "and a password"
        )


def server_environment(uri: str, access: Access, token: str | None = None) -> dict[str, str]:
    """The environment of the server's process.

    Addresses and secrets are passed in the environment and not as arguments, which every user of the machine can read.

    Args:
        uri: of the store.
        access: what a request must bring.
        token: the token, where `access` is "token".

    Raises:
        UserError: `access` is "login" and MLflow's login is not installed, or its password is too short. Or this
            package was installed before it had these applications.
    """
    if _APPS[access] not in entry_points(group="mlflow.app").names:
        raise UserError(
            "this package was updated and not installed again, so MLflow does not find its login; install "
            "it again, for instance: pip install --editable ."
        )
    variables = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    variables.pop(environment.UI_TOKEN, None)
    if token is not None:
        variables[environment.UI_TOKEN] = token
    return variables | _auth_variables() if access == "login" else variables


def serve(host: str, port: int, variables: dict[str, str], access: Access) -> None:
    """Run the MLflow server until a signal comes. The signal ends MLflow and all its processes.

    For the main thread.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        variables: as `server_environment` returns them.
        access: what a request must bring.

    Raises:
        StudyFailed: MLflow ended by itself.
        KeyboardInterrupt: a signal ended it.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--app-name", _APPS[access]]
    # With a login, the server makes files that only their owner may read: the users' database is one of them.
    stopped = threading.Event()
    process: subprocess.Popen[bytes] | None = None

    def stop(*_: object) -> None:
        """The first signal asks MLflow to end, a second one or a hanging end kills it."""
        again = stopped.is_set()
        stopped.set()
        if process is not None:
            _signal_group(process.pid, signal.SIGKILL if again else signal.SIGTERM)

    former = {each: signal.signal(each, stop) for each in taken_signals()}
    try:
        # A session of its own: the signals of our process group reach it once, through us.
        process = subprocess.Popen(
            command, env=variables, umask=0o077 if access == "login" else -1, start_new_session=True
        )
        while not stopped.is_set() and process.poll() is None:
            stopped.wait(0.2)
        if stopped.is_set():
            _signal_group(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
    finally:
        if process is not None:
            _signal_group(process.pid, signal.SIGKILL)  # what is left of it
            process.wait()
        for each, handler in former.items():
            signal.signal(each, handler)
    if stopped.is_set():
        raise KeyboardInterrupt
    raise StudyFailed(f"MLflow ended by itself with status {process.returncode}; its own messages above say why")


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def check_port(host: str, port: int) -> None:
    """Refuse an address on which nothing can listen; MLflow itself ends with status 0 then.

    Raises:
        UserError: this machine does not have the host, or the port is reserved.
        StudyFailed: the port is in use.
    """
    where = server_address(host, port)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StudyFailed(f"{where}: another program listens there; choose another port with --port") from None
        raise UserError(f"{where}: cannot listen there ({error.strerror or error}); change --host or --port") from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _auth_variables() -> dict[str, str]:
    """The variables that MLflow's login needs.

    Raises:
        UserError: as `server_environment`.
    """
    if find_spec("flask_wtf") is None:
        raise UserError("--auth: MLflow's login is not installed; pip install 'mlflow[auth]'")
    password = environment.auth_admin_password()
    makes_users = environment.auth_config_path() is None and not os.path.exists("basic_auth.db")
    if (makes_users or password) and len(password) < PASSWORD_LENGTH:
        raise UserError(
            f"--auth: set MLFLOW_AUTH_ADMIN_PASSWORD to {PASSWORD_LENGTH} characters or more; it becomes the password "
            "of the user `admin` when the database of users, basic_auth.db, is created"
        )
    given = environment.user_password()
    if given is not None and len(given) < PASSWORD_LENGTH:
        raise UserError(f"--auth: NOISY_STUDY_USER_PASSWORD: expected {PASSWORD_LENGTH} characters or more")
    # This key signs the forms of the sign-up page. A new key at each start only means that an open page must be
    # loaded again.
    return {"MLFLOW_FLASK_SERVER_SECRET_KEY": environment.flask_secret_key() or secrets.token_hex(32)}
