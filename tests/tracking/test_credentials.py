"""Passwords in addresses: no part of them is shown, and an address that can be read in several ways is refused."""

import subprocess
from pathlib import Path

import pytest
from support import disturbed

from study.cluster.jobs import Jobs
from study.errors import UserError
from study.running.journal import open_storage
from study.tracking.address import answering
from study.tracking.credentials import check_address, redacted_message, without_credentials


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://ada:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql+psycopg2://u:p%40w@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("sqlite:////home/ada@work/mlflow.db", "sqlite:////home/ada@work/mlflow.db"),
        ("http://ada:hu@secret@host:5000/x", "http://host:5000/x"),
        ("http://ada:hu/secret@host:5000/x", "http://host:5000/x"),
        ("http://ada:hu#secret@host:5000/x", "http://host:5000/x"),
        ("http://ada:hu secret@host:5000/x", "http://host:5000/x"),
        ("postgresql://ada:p'w/@\"x@db/d?host=/run&password=p", "postgresql://db/d"),
        ("mysql://ada:p w@db/d", "mysql://db/d"),
        ("no answer from http://ada:secret@host/x?token=t, twice", "no answer from http://host/x, twice"),
    ],
)
def test_an_address_is_shown_without_user_and_password(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


SEVERAL_READINGS = [
    "http://ada:hu@secret@127.0.0.1:1",
    "http://ada:hu/secret@127.0.0.1:1",
    "https://ada:hu#secret@127.0.0.1:1",
    "http://ada:hu?secret@127.0.0.1:1",
    "http://ada:hu secret@127.0.0.1:1",
    "http://ada:hu[secret@127.0.0.1:1",
    "http://ada:hu\N{FULLWIDTH COLON}secret@127.0.0.1:1",
    "postgresql://ada:hu%secret@127.0.0.1:1/db",
    "postgresql://ada:hu@secret@127.0.0.1:1/db",
    "postgresql+psycopg://ada:hu/secret@127.0.0.1:1/db",
    "mysql://ada:hu#secret@127.0.0.1:1/db",
    "postgresql://ada:hu:secret",
    "http://ada:secret",
]


@pytest.mark.parametrize("address", SEVERAL_READINGS)
def test_an_address_with_several_readings_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="percent-encode the password") as raised:
        check_address("MLFLOW_TRACKING_URI", address)
    assert str(raised.value).startswith("MLFLOW_TRACKING_URI: ")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://ada:hu%40secret@host:5000/x",
        "http://host:5000",
        "https://[::1]:5000/",
        "postgresql://ada:a.b-c_d~e!f$g&h'i(j)k*l+m,n;o=p:q@db/d?host=/run",
        "postgresql://ada@%2Frun%2Fpostgresql/db",
        "postgresql://ada:pw@one:5432,two:5433/db",
        "sqlite:////home/ada@work/100%/mlflow.db",
        "databricks",
        "",
    ],
)
def test_an_address_with_one_reading_is_accepted(address: str) -> None:
    check_address("OPTUNA_STORAGE", address)


@pytest.mark.parametrize("address", SEVERAL_READINGS)
def test_nothing_uses_an_address_with_several_readings(address: str) -> None:
    """No request is sent: the block does not run, and no database is opened."""
    with pytest.raises(UserError, match="percent-encode the password") as raised, answering(address):
        pytest.fail("it was used")
    with pytest.raises(UserError, match="percent-encode the password") as opened:
        open_storage(address)
    assert "secret" not in f"{raised.value} {opened.value}"


@pytest.mark.parametrize(
    ("variable", "command"),
    [("MLFLOW_TRACKING_URI", ["status", "x"]), ("OPTUNA_STORAGE", ["run", "quickstart"])],
)
def test_a_command_refuses_such_an_address_in_one_line(tmp_path: Path, variable: str, command: list[str]) -> None:
    environment = {**disturbed.HERE, variable: "postgresql://ada:hu@secret@127.0.0.1:1/db"}
    ran = subprocess.run(
        [disturbed.NOISY_STUDY, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"{variable}: this address can be read in several ways; percent-encode the password")
    assert "secret" not in ran.stdout + ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("password", "message", "shown"),
    [
        ("hunter2", "no access for 'ada' with 'hunter2'", "no access for 'ada' with '***'"),
        ("is", "this host is not there: 'is' is wrong", "this host is not there: '***' is wrong"),
        ("e", "the server does not answer", "the server does not answer"),
        ("postgres", "postgresql has no role postgres", "postgresql has no role ***"),
        ("p%40ssword", "invalid password p@ssword given", "invalid password *** given"),
        ("hunter2", "http://ada:hunter2@host/x failed", "http://host/x failed"),
    ],
)
def test_a_message_loses_the_password_and_no_other_word(password: str, message: str, shown: str) -> None:
    assert redacted_message(OSError(message), f"http://ada:{password}@host") == shown


def test_a_password_in_the_query_is_one_too() -> None:
    address = "postgresql://db/d?user=ada&password=hunter2"
    assert redacted_message(OSError("wrong: hunter2"), address) == "wrong: ***"


def test_the_address_of_a_cluster_is_shown_without_its_password() -> None:
    with pytest.raises(UserError) as raised:
        Jobs("http://ada:hunter2@127.0.0.1:1").list()
    assert "no Ray cluster answers at http://127.0.0.1:1;" in str(raised.value)
    assert "hunter2" not in str(raised.value)
