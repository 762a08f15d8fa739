"""The environment variables that this package reads. Every read is in this file.

Works on `os.environ`. Imports nothing of ours, so that every room can use it. Variables that we only set for a library
before it is imported are set beside the call that needs them (`study/running/engine.py`, `study/tracking/address.py`).

Variables of the ecosystem keep the names that Ray, MLflow and Optuna gave them; ours begin with `NOISY_STUDY_`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

RAY_ADDRESS = "RAY_ADDRESS"
RAY_API_SERVER_ADDRESS = "RAY_API_SERVER_ADDRESS"
"""The command line reads these two as defaults of `--address`."""

RAY_FOLDER = "RAY_TMPDIR"
"""The folder of a local Ray's own files."""

JOB = "NOISY_STUDY_JOB"
"""Set in the environment of a job that runs a submitted study."""

SYSTEM_METRICS = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
SYSTEM_METRICS_INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"

_DEFAULT_ROOT = ".noisy-study"


def study_root() -> Path:
    """`NOISY_STUDY_ROOT`, or `.noisy-study` in the working folder: the folder of studies, teachers and logits."""
    return Path(os.environ.get("NOISY_STUDY_ROOT") or _DEFAULT_ROOT)


def data_root(given: str | Path | None = None) -> Path:
    """The folder of data sets: `given`, else `NOISY_STUDY_DATA`, else a folder in the user's cache."""
    if given is not None:
        return Path(given)
    root = os.environ.get("NOISY_STUDY_DATA")
    return Path(root) if root else Path(platformdirs.user_cache_dir("noisy-teacher-study")) / "data"


def tracking_uri() -> str | None:
    """`MLFLOW_TRACKING_URI`, the address of the tracking server; None if it is not set."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def optuna_storage() -> str | None:
    """`OPTUNA_STORAGE`, the address of the Optuna storage, as Optuna's own command reads it; None if it is not set."""
    return os.environ.get("OPTUNA_STORAGE") or None


def commit() -> str | None:
    """`NOISY_STUDY_COMMIT`, the commit that a container image was built from; None if it is not set."""
    return os.environ.get("NOISY_STUDY_COMMIT") or None


def is_job() -> bool:
    """Whether this process is a job that runs a submitted study."""
    return bool(os.environ.get(JOB))


def ray_temporary_folder() -> str:
    """`RAY_TMPDIR` (`RAY_FOLDER`), the folder in which a local Ray makes its own; `/tmp` if it is not set."""
    return os.environ.get(RAY_FOLDER) or "/tmp"


def refused_by_ray() -> str | None:
    """The name of a variable with which Ray Tune refuses to start; None if none is set."""
    return next((name for name in ("TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR") if os.environ.get(name)), None)


def ray_token() -> str | None:
    """`RAY_AUTH_TOKEN`, the token of a Ray cluster; None if it is not set."""
    return os.environ.get("RAY_AUTH_TOKEN") or None


def logs_system_metrics() -> bool:
    """`MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING`: whether MLflow's system metrics are asked for; off if it is not set."""
    return os.environ.get(SYSTEM_METRICS, "").lower() in ("true", "1")


def system_metrics_interval() -> float | None:
    """`MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` in seconds; None if it is not set or is no number."""
    try:
        return float(os.environ[SYSTEM_METRICS_INTERVAL])
    except (KeyError, ValueError):
        return None


def auth_admin_password() -> str:
    """`MLFLOW_AUTH_ADMIN_PASSWORD`, the first password of MLflow's user `admin`; empty if it is not set."""
    return os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD", "")


def user_password() -> str | None:
    """`NOISY_STUDY_USER_PASSWORD`, the password of MLflow's user `study`; None if it is not set."""
    return os.environ.get("NOISY_STUDY_USER_PASSWORD") or None


def auth_config_path() -> str | None:
    """`MLFLOW_AUTH_CONFIG_PATH`, the settings file of MLflow's login; None if it is not set."""
    return os.environ.get("MLFLOW_AUTH_CONFIG_PATH") or None


def flask_secret_key() -> str | None:
    """`MLFLOW_FLASK_SERVER_SECRET_KEY`, which signs the forms of MLflow's login; None if it is not set."""
    return os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or None


UI_TOKEN = "NOISY_STUDY_UI_TOKEN"
"""`noisy-study ui` passes the token of its start to the server's process in this variable."""


def ui_token() -> str | None:
    """`NOISY_STUDY_UI_TOKEN`, the token that requests to the UI must bring; None if it is not set."""
    return os.environ.get(UI_TOKEN) or None


def backend_store() -> str | None:
    """`MLFLOW_BACKEND_STORE_URI`, the database of an MLflow server; None if it is not set."""
    return os.environ.get("MLFLOW_BACKEND_STORE_URI") or None


def artifact_places() -> list[str]:
    """Where an MLflow server keeps artifacts: what `mlflow server` tells its own processes in two variables."""
    names = ("_MLFLOW_SERVER_ARTIFACT_DESTINATION", "_MLFLOW_SERVER_ARTIFACT_ROOT")
    return [place for name in names if (place := os.environ.get(name))]


def has_terminal_width() -> bool:
    """Whether `COLUMNS` says how wide the output is."""
    return "COLUMNS" in os.environ


@contextmanager
def restored(*names: str) -> Iterator[None]:
    """Give variables back the values that they had, however the block ends; the block may set and delete them."""
    former = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
