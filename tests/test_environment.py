"""Environment variables are read with their defaults, and given back after they were changed."""

import os
from pathlib import Path

import pytest

from study import environment


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    for name in ("NOISY_STUDY_ROOT", "NOISY_STUDY_DATA", "MLFLOW_TRACKING_URI", "OPTUNA_STORAGE", "NOISY_STUDY_JOB"):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert environment.study_root() == Path(".noisy-study")
    assert environment.data_root().parts[-2:] == ("noisy-teacher-study", "data")
    assert environment.tracking_uri() is None
    assert environment.optuna_storage() is None
    assert not environment.is_job()


def test_what_the_caller_gives_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDY_DATA", "/from/the/environment")
    assert environment.data_root() == Path("/from/the/environment")
    assert environment.data_root("given") == Path("given")


@pytest.mark.parametrize(("value", "seconds"), [("2.5", 2.5), ("often", None), ("", None)])
def test_a_sampling_interval_is_a_number_or_none(
    monkeypatch: pytest.MonkeyPatch, value: str, seconds: float | None
) -> None:
    monkeypatch.setenv(environment.SYSTEM_METRICS_INTERVAL, value)
    assert environment.system_metrics_interval() == seconds


def _changes_two_variables_and_fails() -> None:
    with environment.restored("NOISY_STUDY_A", "NOISY_STUDY_B"):
        del os.environ["NOISY_STUDY_A"]
        os.environ["NOISY_STUDY_B"] = "during"
        raise RuntimeError


def test_changed_variables_are_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDY_A", "before")
    monkeypatch.delenv("NOISY_STUDY_B", raising=False)
    with pytest.raises(RuntimeError):
        _changes_two_variables_and_fails()
    assert os.environ["NOISY_STUDY_A"] == "before"
    assert "NOISY_STUDY_B" not in os.environ
