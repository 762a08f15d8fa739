"""Addresses: no credentials leave, and nothing is made by looking."""

from pathlib import Path

import pytest

from study.errors import UserError
from study.tracking.address import answering, store_exists, without_credentials


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://ada:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql+psycopg2://u:p%40w@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("sqlite:////home/ada@work/mlflow.db", "sqlite:////home/ada@work/mlflow.db"),
        ("http://host:5000/ada@work", "http://host:5000/ada@work"),
        ("postgresql://ada:p'w/@\"x@db/d?host=/run&password=p", "postgresql://db/d"),
        ("mysql://ada:p w@db/d", "mysql://db/d"),
        ("no answer from http://ada:secret@host/x?token=t, twice", "no answer from http://host/x, twice"),
    ],
)
def test_an_address_is_shown_without_user_and_password(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


def test_an_error_that_quotes_the_password_is_told_without_it() -> None:
    with pytest.raises(UserError) as raised, answering("postgresql://ada:hunter2@db/mlflow"):
        raise OSError("authentication failed for 'ada' with 'hunter2'\nsecond line")
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("address", ["http://[bad", "http://ada:hunter2@[bad", "nonsense", ""])
def test_an_address_that_is_none_is_one_line(address: str) -> None:
    with pytest.raises(UserError) as raised, answering(address):
        raise ValueError(f"Invalid URL {address}")
    assert "hunter2" not in str(raised.value)


def test_looking_for_a_store_makes_none(tmp_path: Path) -> None:
    assert not store_exists(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_no_folder_is_refused_by_the_folder_s_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*/absent; make it first"):
        store_exists(f"sqlite:///{tmp_path / 'absent' / 'mlflow.db'}")
