"""What travels to a cluster with a study file, and what has to be there already.

Works on a study file and the folder it is submitted from. A job's working folder is this shipment, on every node:
relative paths of the study file start there. Credentials never travel, the cluster has its own. Knows nothing of Ray.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from study.config import StudyConfig, TeacherConfig, dump_study
from study.errors import UserError

STUDY_FILE = "study.yaml"


@dataclass(frozen=True)
class Shipment:
    """A study and the files it names.

    Args:
        study: the resolved study.
        files: weights and the module of a search space, by their path in the job's working folder.
        notes: one line each of what the study names and the cluster must have.
    """

    study: StudyConfig
    files: Mapping[Path, Path]
    notes: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Lay everything out in an empty folder."""
        (folder / STUDY_FILE).write_text(dump_study(self.study), encoding="utf-8")
        for name, file in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)


def prepare(study: StudyConfig, folder: Path, data_root: Path) -> Shipment:
    """Check a study as a start would, as far as that is possible away from the cluster, and pack it.

    Args:
        study: the study to submit.
        folder: the one that it is submitted from.
        data_root: where data sets lie on this machine.

    Raises:
        UserError: the study cannot run, or a file cannot be sent.
    """
    # These load NumPy and Optuna, which the other commands about jobs need not wait for.
    from study.data.dataset import DatasetFacts
    from study.data.load import describe_dataset
    from study.planning.check import check_study

    # An image folder lies on the cluster, so its content is not known here.
    facts = DatasetFacts(None, None) if study.data.path else describe_dataset(study.data, data_root)
    check_study(study, facts, runs_here=False)
    return pack(study, folder)


def pack(study: StudyConfig, folder: Path) -> Shipment:
    """Gather what a study file names in `folder`, the one it is submitted from.

    The module of its search space must have been imported.

    Raises:
        UserError: a file cannot travel; names it.
    """
    files: dict[Path, Path] = {}
    notes: list[str] = []
    for name in dict.fromkeys(weights_of(study)):
        if Path(name).is_absolute():
            notes.append(f"weights {name} do not travel: every node must see them there")
        else:
            files[Path(name)] = _inside(folder, name)
    if study.search is not None and ":" in study.search.space:
        module = study.search.space.partition(":")[0]
        found = _module_files(module, folder)
        files |= found
        if not found:
            notes.append(
                f"search.space {study.search.space} does not travel: {module} must be installed on the cluster"
            )
    if study.data.path is not None:
        notes.append(f"images {study.data.path} do not travel: the cluster looks for them in its NOISY_STUDY_DATA")
    return Shipment(study, files, tuple(notes))


def weights_of(study: StudyConfig) -> Iterator[str]:
    """Every weights file that a study names, as it names it."""
    given = (*study.teachers, *(teacher for arm in (*study.arms, study.baseline) for teacher in arm.teachers or ()))
    yield from _weights(given)


def _weights(teachers: tuple[TeacherConfig, ...]) -> Iterator[str]:
    for teacher in teachers:
        if teacher.weights is not None:
            yield teacher.weights
        yield from _weights(teacher.teachers or ())


def _inside(folder: Path, name: str) -> Path:
    """A file that is named relative to the folder and lies in it."""
    if ".." in Path(name).parts or name == STUDY_FILE:
        raise UserError(
            f"weights {name} cannot travel to the cluster: copy them into this folder, or give the absolute path under "
            "which every node sees them"
        )
    return folder / name


def _module_files(module: str, folder: Path) -> dict[Path, Path]:
    """The files of a module, or of the package it lies in, where it is the folder's own; none where it is installed."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not Path(file).resolve().is_relative_to(folder.resolve() / top):
        single = folder / f"{module}.py"
        is_here = file is not None and Path(file).resolve() == single.resolve()
        return {Path(single.name): single} if is_here else {}
    return {found.relative_to(folder): found for found in sorted((folder / top).rglob("*.py"))}
