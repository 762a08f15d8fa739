"""Starts the MLflow UI on a store that has no server of its own.

Works on a store's address, a host and a port. Knows nothing of studies.
"""

import errno
import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec

from study import environment
from study.errors import StudyFailed, UserError
from study.interrupts import PATIENCE, taken_signals

PASSWORD_LENGTH = 12
"""The fewest characters of the password of MLflow's user `admin`."""


def server_address(host: str, port: int) -> str:
    """The address that a browser opens."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def check_host(host: str, auth: bool) -> None:
    """Refuse to listen on a network without a login.

    Raises:
        UserError: other machines can reach this host, and there is no login.
    """
    if not auth and not _is_loopback(host):
        raise UserError(
            f"--host {host}: everyone who reaches this address could change every run; add --auth to require a user "
            "and a password"
        )


def server_environment(uri: str, auth: bool) -> dict[str, str]:
    """The environment of the server's process.

    Addresses and secrets are passed in the environment and not as arguments, which every user of the machine can read.

    Raises:
        UserError: `auth` is given and MLflow's login is not installed, or its password is too short.
    """
    variables = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return variables | _auth_variables() if auth else variables


def serve(host: str, port: int, variables: dict[str, str], auth: bool) -> None:
    """Run the MLflow server until a signal comes. The signal ends MLflow and all its processes.

    For the main thread.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        variables: as `server_environment` returns them.
        auth: whether users must log in.

    Raises:
        UserError: this machine does not have the host, or the port is reserved.
        StudyFailed: the port is in use, or MLflow ended by itself.
        KeyboardInterrupt: a signal ended it.
    """
    _check_port(host, port)
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    if auth:
        command += ["--app-name", "basic-auth"]
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
        process = subprocess.Popen(command, env=variables, umask=0o077 if auth else -1, start_new_session=True)
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


def _check_port(host: str, port: int) -> None:
    """Refuse an address on which nothing can listen; MLflow itself ends with status 0 then."""
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
            "of the user `admin` when the database of users, basic_auth.db, is made"
        )
    # This key signs the forms of the sign-up page. A new key at each start only means that an open page must be
    # loaded again.
    return {"MLFLOW_FLASK_SERVER_SECRET_KEY": environment.flask_secret_key() or secrets.token_hex(32)}
