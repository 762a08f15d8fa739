"""Loads the chosen student with its preprocessing, its teachers, and the raw test images.

Works on the folder of a study and its data. Knows nothing of MLflow, ONNX or what the student is used for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import own_code, zoo
from study.config import StudyConfig, TeacherConfig, parse_study, read_text, teacher_trial
from study.data.dataset import Dataset
from study.data.load import load_dataset
from study.digests import CHANGED
from study.distill.logit_store import file_digest
from study.distill.teachers import load_weights
from study.distill.tensor_files import is_damaged
from study.errors import UserError
from study.export.choice import Choice
from study.export.student import Preprocessing, Student
from study.planning import plan
from study.planning.keys import logits_key, teacher_key
from study.running.trial import WEIGHTS
from study.storage import StudyFolder, can_be_study_name
from study.tracking.names import chain_name

ROUNDING = 0.001
"""The share of the test images whose class may differ from the tracked one by rounding."""


@dataclass(frozen=True, eq=False)
class OpenedStudent:
    """The best student of a study with its weights.

    Attributes:
        choice: which student it is.
        config: its study.
        student: in evaluation mode; it maps raw images to logits.
        classes: their names, in the order of the logits.
        images: the raw test images (N, C, H, W), uint8.
        labels: their labels (N,), int64.
        data_digest: SHA-256 of the study's images.
        weights_digest: SHA-256 of the weights file.
        code: the folder with the study's copies of the user's own code.
    """

    choice: Choice
    config: StudyConfig
    student: Student
    classes: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    data_digest: str
    weights_digest: str
    code: Path

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True, eq=False)
class OpenedTeacher:
    """A teacher of the student with its weights.

    Attributes:
        name: its name, with its own teachers if it has any.
        reference: its network: a name in the zoo, or a line of the notation.
        network: in evaluation mode; it maps raw images to logits.
    """

    name: str
    reference: str
    network: Student


def open_student(choice: Choice, root: Path, data_root: Path, dataset: Dataset | None = None) -> OpenedStudent:
    """Load a student's weights and its data.

    Args:
        choice: which student.
        root: the folder of all studies: `.noisy-study` in the folder where the study ran.
        data_root: the folder of the data sets.
        dataset: the study's images, if they are in memory already.

    Raises:
        UserError: the weights or the images are not on this machine, the weights are damaged, or the images are not
            the study's.
    """
    folder = StudyFolder(root, choice.study)
    file = folder.trial(choice.trial_id) / WEIGHTS
    # Both names come from the tracking server. They must not lead to a path outside the folder of all studies.
    in_place = can_be_study_name(choice.study) and can_be_study_name(choice.trial_id)
    if not in_place or not folder.exists() or not file.exists():
        raise UserError(
            f"the weights of {choice.study}'s best student are not on this machine (no {file}); run this command in "
            "the folder where the study ran"
        )
    with own_code.copies_in(folder.code):
        config = parse_study(read_text(folder.study_file), str(folder.study_file))
    dataset = dataset or load_dataset(config.data, data_root)
    record = folder.start_record()
    if dataset.digest != record.data_digest:
        raise UserError(f"the images of {config.data.name} are not those that study {choice.study} started with")
    raw = _raw(config, dataset, data_root)
    with own_code.copies_in(folder.code):
        network = zoo.build(choice.row.arm.student, dataset.input_shape, dataset.class_count)
    if is_damaged(file):
        raise UserError(f"{file}: {CHANGED}; noisy-study resume {choice.study} trains this student again")
    load_weights(network, file)
    preprocessing = _preprocessing(config, raw.max_value, dataset)
    return OpenedStudent(
        choice=choice,
        config=config,
        student=_at_rest(Student(preprocessing, network)),
        classes=dataset.classes,
        images=_bytes(raw),
        labels=raw.test.labels,
        data_digest=dataset.digest,
        weights_digest=file_digest(file),
        code=folder.code,
    )


def refuse_another_error(opened: OpenedStudent, logits: npt.NDArray[np.float32]) -> None:
    """Compare the test error of the opened student with the one that is tracked.

    Another processor rounds in another way. Then an image whose two largest logits are nearly equal can change its
    class. So one image in a thousand may differ, and at least one image.

    Args:
        opened: the student.
        logits: of all its test images, (N, classes).

    Raises:
        UserError: the errors differ by more than that.
    """
    count, choice = len(opened.labels), opened.choice
    wrong = int((logits.argmax(axis=1) != opened.labels).sum())
    if abs(wrong - choice.test_error * count) < max(1, count * ROUNDING) + 0.5:
        return
    raise UserError(
        f"the weights of {choice.study}'s best student ({choice.trial_id}) have a test error of "
        f"{wrong / count * 100:.2f} %, and {choice.test_error * 100:.2f} % is tracked for it (run {choice.run_id}); "
        "these are not the tracked weights, so nothing is exported or registered"
    )


def open_teachers(opened: OpenedStudent, root: Path, data_root: Path) -> tuple[OpenedTeacher, ...]:
    """The teachers that the student learned from; none if it learned from labels.

    Raises:
        UserError: the weights of a teacher are not on this machine, or the teachers cannot be identified.
    """
    digests = StudyFolder(root, opened.choice.study).start_record().digests
    whole = load_dataset(opened.config.data.model_copy(update={"fraction": 1.0}), data_root)
    preprocessing = _preprocessing(opened.config, opened.student.preprocessing.max_value, whole)
    teachers = []
    for teacher in _teachers_of(opened, digests):
        if opened.config.varies_teacher:
            teacher = teacher.of_seed(opened.choice.seed)
        if teacher.logits is not None:
            raise UserError(f"{teacher.network}: only its logits were given ({teacher.logits})")
        key = logits_key(teacher_trial(teacher), whole.digest, digests)
        with own_code.copies_in(opened.code):
            network = zoo.build(teacher.network, whole.input_shape, whole.class_count)
        given = None if teacher.weights is None else zoo.weights_file(teacher.weights)
        file = given or root / "teachers" / key / WEIGHTS
        load_weights(network, file, teacher.strict)
        if teacher.weights in digests and file_digest(file) != digests[teacher.weights]:
            raise UserError(f"{file} holds other weights than those that study {opened.choice.study} started with")
        student = _at_rest(Student(preprocessing, network))
        teachers.append(OpenedTeacher(chain_name([teacher]), teacher.network, student))
    return tuple(teachers)


def _teachers_of(opened: OpenedStudent, digests: Mapping[str, str]) -> tuple[TeacherConfig, ...]:
    """The teachers of the student's run, found by their key; none if it learned from labels.

    Raises:
        UserError: the study file has no such teachers, or the run has no key and several teachers have the name.
    """
    key, name = opened.choice.teacher_key, opened.choice.row.arm.teacher
    if not name:
        return ()
    groups = plan.teacher_groups(opened.config)
    if key is None:
        found = [group for group in groups if "+".join(teacher.network for teacher in group) == name]
    else:
        found = [group for group in groups if teacher_key(group, digests) == key]
    if len(found) != 1:
        raise UserError(
            f"the study file of {opened.choice.study} has {len(found)} teachers {name}"
            f"{'' if key is None else f' with the key {key}'}; it can be measured only if there is exactly one"
        )
    return found[0]


def _raw(config: StudyConfig, dataset: Dataset, data_root: Path) -> Dataset:
    """The same images before local contrast normalisation, the only step that `load_dataset` applies to them."""
    if "local_contrast_normalization" not in config.data.preprocess:
        return dataset
    return load_dataset(config.data.model_copy(update={"preprocess": ()}), data_root)


def _preprocessing(config: StudyConfig, max_value: float, dataset: Dataset) -> Preprocessing:
    normalised = "local_contrast_normalization" in config.data.preprocess
    return Preprocessing(max_value, dataset.input_shape[1:] if normalised else None, dataset.pixel_mean)


def _bytes(raw: Dataset) -> npt.NDArray[np.uint8]:
    images = raw.test.images
    assert images.dtype == np.uint8  # as every source reads them
    return images.astype(np.uint8, copy=False)


def _at_rest(student: Student) -> Student:
    """Prepare a student for evaluation: no dropout, no gradients."""
    student.eval()
    for parameter in student.parameters():
        parameter.requires_grad_(False)
    return student
