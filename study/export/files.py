"""`noisy-study export`: writes the best student as files for other programs, with a model card.

Works on a study that ran in this folder. Files are written to a temporary folder and checked on the whole test set
first. Only files that passed are copied to the user's folder.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from models import own_code
from models.cost import network_cost
from study.errors import StudyFailed, UserError
from study.export import latency, onnx_file, torch_file
from study.export.card import ExportedFile, MeasuredNetwork, card
from study.export.choice import choose
from study.export.student import Student, logits_on
from study.export.weights import OpenedStudent, OpenedTeacher, open_student, open_teachers, refuse_another_error
from study.results.read import read_study
from study.storage import write_whole

FileFormat = Literal["onnx", "torch"]

CARD = "MODEL_CARD.md"
FILES: dict[FileFormat, str] = {"onnx": "student.onnx", "torch": "student.pt2"}
INT8_FILE = "student.int8.onnx"

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        files: the exported files with their check, the int8 one last.
        card: the model card.
    """

    files: tuple[ExportedFile, ...]
    card: Path


def export_student(
    tracking_uri: str,
    study: str,
    out: Path,
    root: Path,
    data_root: Path,
    format: FileFormat = "onnx",
    int8: bool = False,
) -> Exported:
    """Write the best student of a study and its model card.

    Args:
        tracking_uri: the address of an MLflow server, or `sqlite:///FILE`.
        study: the study's name.
        out: the folder to write to; it is created if needed, and files of the same names are replaced.
        root: the folder of all studies.
        data_root: the folder of the data sets.
        format: `onnx`, or `torch` for a program of `torch.export`.
        int8: whether to write a dynamically quantised ONNX file too.

    Raises:
        UserError: the extra `export` is missing, the server has no such study, the weights or the images are not on
            this machine, the weights are damaged or do not have the tracked test error, or the folder cannot be
            written. Nothing was written.
        StudyFailed: the file predicts another class than the network for some image. Nothing was written.
    """
    if int8 and format != "onnx":
        raise UserError("--int8 makes a quantised ONNX file: use it with --format onnx")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: this is a file; name a folder")
    if format == "onnx":
        onnx_file.require_onnx()
    opened = open_student(choose(read_study(tracking_uri, study)), root, data_root)
    reference = logits_on(opened.student, opened.images)
    refuse_another_error(opened, reference)
    teachers: tuple[OpenedTeacher, ...] = ()
    missing = None
    try:
        teachers = open_teachers(opened, root, data_root)
    except UserError as error:
        missing = str(error)
    answers: dict[str, latency.Answer] = {f"student {opened.choice.row.arm.student}, torch": _eager(opened.student)}
    answers |= {f"teacher {teacher.name}, torch": _eager(teacher.network) for teacher in teachers}

    with tempfile.TemporaryDirectory(prefix="noisy-study-export-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        files: list[ExportedFile] = []
        for name, kind, write in _writers(opened, format, int8):
            write(folder / name)
            answer = _opened(folder / name)
            files.append(_tried(opened, folder / name, kind, reference, answer))
            answers[f"student {opened.choice.row.arm.student}, {kind}"] = answer
        text = card(
            opened,
            files,
            networks=[
                _network(opened, "student", opened.choice.row.arm.student, opened.choice.row.arm.student, reference),
                *(
                    _network(opened, "teacher", each.name, each.reference, logits_on(each.network, opened.images))
                    for each in teachers
                ),
            ],
            teachers_missing=missing,
            measured=_measured(answers, opened),
        )
        write_whole(folder / CARD, lambda path: path.write_text(text, encoding="utf-8"))
        # The card is copied last: when a new card is there, the files that it describes are there too.
        for file in [*(each.name for each in files), CARD]:
            write_whole(out / file, lambda path, source=folder / file: shutil.copyfile(source, path))  # type: ignore[misc]
    return Exported(tuple(files), out / CARD)


def _writers(opened: OpenedStudent, format: FileFormat, int8: bool) -> list[tuple[str, str, Callable[[Path], None]]]:
    """For each file its name, its kind and the function that writes it. The int8 file is made from the first one."""
    example = opened.images[:2]
    facts = {
        "study": opened.choice.study,
        "trial": opened.choice.trial_id,
        "network": opened.choice.row.arm.student,
        "classes": "\n".join(opened.classes),
        "data_digest": opened.data_digest,
        "weights_digest": opened.weights_digest,
    }
    if format == "torch":
        return [(FILES["torch"], "torch program", lambda path: torch_file.write_torch(opened.student, example, path))]
    plain = (FILES["onnx"], "ONNX Runtime", lambda path: onnx_file.write_onnx(opened.student, example, path, facts))
    if not int8:
        return [plain]
    return [
        plain,
        (INT8_FILE, "ONNX Runtime, int8", lambda path: onnx_file.write_int8(path.with_name(FILES["onnx"]), path)),
    ]


def _opened(path: Path) -> Callable[[npt.NDArray[np.uint8]], Logits]:
    if path.suffix == ".onnx":
        session = onnx_file.open_onnx(path)
        return lambda images: onnx_file.onnx_logits(session, images)
    program = torch_file.open_torch(path)
    return lambda images: logits_on(program, images)


def _eager(student: Student) -> latency.Answer:
    return lambda images: logits_on(student, images)


def _measured(answers: Mapping[str, latency.Answer], opened: OpenedStudent) -> latency.Latency:
    """Measure latencies on one thread. ONNX Runtime's sessions already have one thread; PyTorch is set to one here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return latency.measure(answers, opened.images)
    finally:
        torch.set_num_threads(before)


def _tried(
    opened: OpenedStudent,
    path: Path,
    kind: str,
    reference: Logits,
    answer: Callable[[npt.NDArray[np.uint8]], Logits],
) -> ExportedFile:
    """Run a file on the whole test set and compare it with the network.

    Raises:
        StudyFailed: it predicts another class than the network. A quantised file may.
    """
    logits = answer(opened.images)
    others = int((logits.argmax(axis=1) != reference.argmax(axis=1)).sum())
    difference = float(np.abs(logits - reference).max())
    exact = path.name != INT8_FILE
    if exact and others:
        raise StudyFailed(
            f"{path.name} predicts another class than the network for {others} of {len(logits)} test images (largest "
            f"logit difference {difference:.2g}); nothing was written"
        )
    return ExportedFile(
        name=path.name,
        kind=kind,
        bytes=path.stat().st_size,
        images=len(logits),
        other_classes=others,
        largest_difference=difference,
        test_error=float((logits.argmax(axis=1) != opened.labels).mean()),
        exact=exact,
    )


def _network(opened: OpenedStudent, role: str, name: str, reference: str, logits: Logits) -> MeasuredNetwork:
    with own_code.copies_in(opened.code):
        cost = network_cost(reference, opened.input_shape, len(opened.classes))
    error = float((logits.argmax(axis=1) != opened.labels).mean())
    return MeasuredNetwork(role, name, cost.multiplications, cost.parameters, cost.bytes, error)
