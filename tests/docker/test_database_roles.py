"""The roles of the stack's database, made by its own script in a real PostgreSQL."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.docker_files import DOCKER
from support.postgresql import PostgreSQL, running_postgresql

PASSWORDS = {"MLFLOW_DATABASE_PASSWORD": "it's \\one", "STUDY_DATABASE_PASSWORD": "another; DROP"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with running_postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def database(server: PostgreSQL) -> PostgreSQL:
    """A server on which the script ran, as the image of PostgreSQL runs it."""
    ran = server.as_user("postgres", "postgres", "--file", str(DOCKER / "postgres" / "databases.sql"), **PASSWORDS)
    assert ran.returncode == 0, ran.stderr
    return server


def ask(server: PostgreSQL, user: str, database: str, statement: str) -> subprocess.CompletedProcess[str]:
    return server.as_user(user, database, "--command", statement)


@pytest.mark.parametrize(
    ("user", "database_name", "connects"),
    [
        ("study", "optuna", True),
        ("study", "mlflow", False),
        ("study", "mlflow_auth", False),
        ("study", "postgres", False),
        ("mlflow", "mlflow", True),
        ("mlflow", "mlflow_auth", True),
        ("mlflow", "optuna", False),
    ],
)
def test_a_role_connects_to_its_own_databases(
    database: PostgreSQL, user: str, database_name: str, connects: bool
) -> None:
    ran = ask(database, user, database_name, "CREATE TABLE t (x int); DROP TABLE t;")
    assert (ran.returncode == 0) is connects, ran.stderr
    assert connects or "permission denied for database" in ran.stderr


@pytest.mark.parametrize("user", ["study", "mlflow"])
@pytest.mark.parametrize(
    "statement",
    ["CREATE ROLE evil", "CREATE DATABASE evil", "COPY (SELECT 1) TO PROGRAM 'id'", "SELECT * FROM pg_authid"],
)
def test_a_role_administers_nothing(database: PostgreSQL, user: str, statement: str) -> None:
    own = {"study": "optuna", "mlflow": "mlflow"}[user]
    ran = ask(database, user, own, statement)
    assert ran.returncode != 0
    assert "permission denied" in ran.stderr


def test_the_script_stops_without_a_password(server: PostgreSQL, tmp_path: Path) -> None:
    script = (DOCKER / "postgres" / "databases.sql").read_text().replace("mlflow", "other").replace("study", "theirs")
    (tmp_path / "other.sql").write_text(script)
    ran = server.as_user("postgres", "postgres", "--file", str(tmp_path / "other.sql"))
    assert ran.returncode != 0
    assert "CREATE" not in ran.stdout
