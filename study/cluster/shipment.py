"""The files that are sent to a cluster with a study file, and the files that the cluster must already have.

Works on a study file and the folder from which it is submitted. On every node, a job's working folder has exactly these
files, and relative paths of the study file start there. Credentials are never sent, because the cluster has its own.
Knows nothing of Ray.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.own_code import OwnCode, OwnCodeError, located
from study.config import StudyConfig, dump_study
from study.errors import UserError
from study.planning import plan

STUDY_FILE = "study.yaml"


@dataclass(frozen=True)
class Shipment:
    """A study and the files that it names.

    Args:
        study: the study with all its defaults.
        files: weights, logits, the user's own code and the module of a search space, by their path in the job's working
            folder.
        notes: one line for each thing that the study names and that the cluster must already have.
        extends: whether it extends the study of its name on the cluster.
    """

    study: StudyConfig
    files: Mapping[Path, Path]
    notes: tuple[str, ...]
    extends: bool = False

    def write(self, folder: Path) -> None:
        """Write the study file and copy all files into an empty folder."""
        (folder / STUDY_FILE).write_text(dump_study(self.study), encoding="utf-8")
        for name, file in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)


def prepare(study: StudyConfig, folder: Path, data_root: Path) -> Shipment:
    """Check a study as `run` does, as far as that is possible without the cluster, and collect its files.

    Args:
        study: the study to submit.
        folder: the folder from which it is submitted.
        data_root: the folder of the data sets on this machine.

    Raises:
        UserError: the study cannot run, or a file cannot be sent.
    """
    # These modules import NumPy and Optuna, which take time and which the other commands for jobs do not need.
    from study.data.dataset import DatasetFacts
    from study.data.load import describe_dataset
    from study.planning.check import check_study

    # An image folder is on the cluster, so its content is not known here.
    facts = DatasetFacts(None, None) if study.data.path else describe_dataset(study.data, data_root)
    check_study(study, facts, runs_here=False)
    return pack(study, folder)


def pack(study: StudyConfig, folder: Path) -> Shipment:
    """Collect the files that a study file names in `folder`, from which it is submitted.

    The module of its search space must have been imported.

    Raises:
        UserError: a file cannot be sent; the message names it.
    """
    from study.planning.proposals import code_to_keep  # loads Optuna

    files: dict[Path, Path] = {}
    notes: list[str] = []
    for what, name in dict.fromkeys(given_files(study)):
        if name.startswith("torchvision:"):
            notes.append(f"{what} {name} are not sent: every node must have them in its cache")
        elif Path(name).is_absolute():
            notes.append(f"{what} {name} are not sent: every node must have them at this path")
        else:
            files[Path(name)] = _inside(folder, name, what)
    for reference in code_to_keep(study):
        code = _code(reference)
        if code.travels:
            for file in code.files:
                files[code.root / file] = _inside(folder, str(code.root / file), "code")
        else:
            notes.append(f"{reference} is not sent: {code.place} must be installed on the cluster")
    if study.search is not None and ":" in study.search.space:
        module = study.search.space.partition(":")[0]
        found = _module_files(module, folder)
        files |= found
        if not found:
            notes.append(f"search.space {study.search.space} is not sent: {module} must be installed on the cluster")
    if study.data.path is not None:
        notes.append(f"images {study.data.path} are not sent: the cluster looks for them in its NOISY_STUDY_DATA")
    return Shipment(study, files, tuple(notes))


def given_files(study: StudyConfig) -> Iterator[tuple[str, str]]:
    """`weights` or `logits`, and the path of the file as the study file has it."""
    for trial in plan.teacher_trials(study):
        if trial.weights is not None:
            yield "weights", trial.weights
        if trial.logits is not None:
            yield "logits", trial.logits


def _inside(folder: Path, name: str, what: str) -> Path:
    """A file that is named relative to the folder and lies in it."""
    if ".." in Path(name).parts or Path(name).is_absolute() or name == STUDY_FILE:
        instead = "" if what == "code" else ", or give an absolute path that every node can read"
        raise UserError(f"{what} {name} cannot be sent to the cluster: copy it into this folder{instead}")
    return folder / name


def _code(reference: str) -> OwnCode:
    try:
        return located(reference)
    except OwnCodeError as error:
        raise UserError(str(error)) from None


def _module_files(module: str, folder: Path) -> dict[Path, Path]:
    """The files of a module, or of its whole package, if it is in this folder. None if it is an installed module."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not Path(file).resolve().is_relative_to(folder.resolve() / top):
        single = folder / f"{module}.py"
        is_here = file is not None and Path(file).resolve() == single.resolve()
        return {Path(single.name): single} if is_here else {}
    return {found.relative_to(folder): found for found in sorted((folder / top).rglob("*.py"))}
