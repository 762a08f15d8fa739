"""Where things are: what the environment says, for whoever starts a study or reads one.

Works on environment variables and on what a study recorded when it began. Imports nothing heavy.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from search_spaces.library import recipe_names, recipe_text
from study.config import StudyConfig, parse_study, read_text
from study.storage import DEFAULT_ROOT, StudyFolder, can_be_study_name
from study.tracking.address import tracking_uri as default_tracking_uri


def study_of(reference: str, overrides: Sequence[str] = (), name: str | None = None) -> StudyConfig:
    """A study file: a recipe by name, else a file by path.

    Args:
        reference: a recipe's name, or the path of a study file.
        overrides: `dotted.key=YAML value`.
        name: the study's name, instead of the file's.

    Raises:
        UserError: there is none, or it is wrong; one line that names the key, the value and what is allowed.
    """
    path = Path(reference)
    is_file = reference not in recipe_names() and (path.suffix in (".yaml", ".yml") or os.path.exists(path))
    text = read_text(path) if is_file else recipe_text(reference)
    return parse_study(text, reference, overrides, name)


def tracking_uri_of(study: str) -> str:
    """`MLFLOW_TRACKING_URI`, else the one the study was started with, else the default store."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return default_tracking_uri()
    recorded = StudyFolder(DEFAULT_ROOT, study).tracking_uri() if can_be_study_name(study) else None
    return recorded or default_tracking_uri()


def data_root_of(given: Path | None = None) -> Path:
    """Where data sets lie: what is given, else `NOISY_STUDY_DATA`, else the user's cache."""
    if given is not None:
        return given
    environment = os.environ.get("NOISY_STUDY_DATA")
    return Path(environment) if environment else Path(platformdirs.user_cache_dir("noisy-teacher-study")) / "data"


def optuna_storage() -> str | None:
    """The journal's address by the environment variable that Optuna's own command line reads."""
    return os.environ.get("OPTUNA_STORAGE") or None
