"""Finds what a user names: a study file by recipe or path, a study's tracking server by the study's name.

Works on names, the folder of studies and the environment. Imports nothing heavy: the command line and the notebook
functions use it before anything runs.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from models.own_code import copies_in
from search_spaces.library import recipe_names, recipe_text
from study.config import StudyConfig, nearest, parse_study, read_text
from study.errors import UserError
from study.locks import is_held
from study.storage import DEFAULT_ROOT, StudyFolder, can_be_study_name
from study.tracking.address import given_uri, tracking_uri


def study_of(reference: str, overrides: Sequence[str] = (), name: str | None = None) -> StudyConfig:
    """Read a study file: a recipe by its name, else a file by its path.

    Args:
        reference: a recipe's name, or the path of a study file.
        overrides: `dotted.key=YAML value`.
        name: the study's name, instead of the file's.

    Raises:
        UserError: there is no such recipe or file, or it has a mistake; one line that names the key, the value and
            what is allowed.
    """
    path = Path(reference)
    is_file = reference not in recipe_names() and (path.suffix in (".yaml", ".yml") or os.path.exists(path))
    text = read_text(path) if is_file else recipe_text(reference)
    return parse_study(text, reference, overrides, name, path.parent if is_file else None)


def tracking_uri_of(study: str) -> str:
    """`MLFLOW_TRACKING_URI`, else the address that the study was started with, else the default store."""
    return given_uri() or _recorded_uri(study) or tracking_uri()


def tracking_uris_of(studies: Sequence[str]) -> dict[str, str]:
    """The address that each study was started with, by the study's name; else as `tracking_uri_of`."""
    return {name: _recorded_uri(name) or tracking_uri_of(name) for name in studies}


def local_studies(root: Path = DEFAULT_ROOT) -> list[str]:
    """The names of the studies in a folder, sorted."""
    found = (path.parent.name for path in (root / "studies").glob("*/study.yaml"))
    return sorted(filter(can_be_study_name, found))


def running_studies(root: Path = DEFAULT_ROOT) -> list[str]:
    """The names of the studies in a folder that a process on this machine runs or resumes now."""
    return [name for name in local_studies(root) if is_held(StudyFolder(root, name).lock)]


def find_study(name: str, root: Path = DEFAULT_ROOT) -> StudyFolder:
    """The folder of a study by the study's name.

    Raises:
        UserError: there is no such study; names the nearest.
    """
    known = local_studies(root)
    if name not in known:
        hint = nearest(name, known) if known else "; this folder has no study yet: noisy-study run quickstart"
        raise UserError(f"no study named {name} in {root / 'studies'}{hint}")
    return StudyFolder(root, name)


def started_study(folder: StudyFolder) -> StudyConfig:
    """The study as it was recorded when it started, or when it was extended last.

    The record is read first: it says whether this version of the package can resume the study at all.

    Raises:
        UserError: another version of this package made the folder, or the record is damaged.
    """
    with copies_in(folder.code):
        return folder.start_record().study(f"the study file that {folder.name} started with")


def larger_study(folder: StudyFolder, overrides: Sequence[str]) -> StudyConfig:
    """The study file of a study with changes, for an extension.

    Args:
        folder: of the study.
        overrides: `dotted.key=YAML value`.

    Raises:
        UserError: as `started_study`, or an override has a mistake.
    """
    with copies_in(folder.code):
        return parse_study(folder.start_record().study_file, f"the study file of {folder.name}", overrides, folder.name)


def exists_already(study: StudyConfig, root: Path = DEFAULT_ROOT) -> bool:
    """Whether the study that this file describes has been started in the folder `root`.

    Raises:
        UserError: a study of that name was started with another study file; names the keys that differ.
    """
    folder = StudyFolder(root, study.name)
    if not folder.exists():
        return False
    started = started_study(folder).model_dump()
    differs = [key for key, value in study.model_dump().items() if value != started[key]]
    if differs:
        raise UserError(
            f"study {study.name} was started with another study file (it differs in {', '.join(differs)}); use that "
            "file again, extend the study with --extend, or choose another name with --name"
        )
    return True


def _recorded_uri(study: str) -> str | None:
    return StudyFolder(DEFAULT_ROOT, study).tracking_uri() if can_be_study_name(study) else None
