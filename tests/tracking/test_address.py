"""Addresses: no credentials leave, and nothing is made by looking."""

import json
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST
from sqlalchemy.exc import NoSuchModuleError, OperationalError

from study.errors import TrackingUnavailable, UserError
from study.tracking.address import ATTEMPTS, answering, retry_read, store_exists


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
    with pytest.raises(UserError, match=r"the folder .*/absent does not exist; create it first"):
        store_exists(f"sqlite:///{tmp_path / 'absent' / 'mlflow.db'}")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MlflowException("no answer"), TrackingUnavailable),
        (OperationalError("select", {}, Exception("away")), TrackingUnavailable),
        (requests.ConnectionError("away"), TrackingUnavailable),
        (OSError("away"), TrackingUnavailable),
        (json.JSONDecodeError("half an answer", "{", 1), TrackingUnavailable),
        (MlflowException("no such run", RESOURCE_DOES_NOT_EXIST), UserError),
        (MlflowException("not for you", PERMISSION_DENIED), UserError),
        (NoSuchModuleError("no such database"), UserError),
        (ModuleNotFoundError("psycopg"), UserError),
        (ValueError("no address"), UserError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_unavailability_or_a_mistake(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(UserError) as raised, answering("http://host"):
        raise error
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(requests.ConnectionError("away"), ATTEMPTS), (MlflowException("no", PERMISSION_DENIED), 1)],
    ids=["unavailable", "refused"],
)
def test_only_what_is_unavailable_is_read_again(error: Exception, attempts: int) -> None:
    made: list[int] = []

    def read(number: int) -> None:
        made.append(number)
        raise error

    with pytest.raises(UserError):
        retry_read("http://host", read, 1)
    assert made == [1] * attempts


def test_a_read_that_succeeds_at_the_second_attempt_returns() -> None:
    answers = iter([requests.Timeout("slow"), None])

    def read() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "it"

    assert retry_read("http://host", read) == "it"
