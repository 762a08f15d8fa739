"""What students learn from: the logits of trained teachers, alone and combined.

Works on images in memory, the weights of teachers and the store of logits. Knows nothing of journals, or of how a
teacher is trained.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from models import zoo
from study.config import Combination, TeacherConfig, TrialConfig, teacher_trial
from study.data.dataset import Dataset
from study.data.tensors import ImageTensors
from study.distill.given_logits import read_logits
from study.distill.logit_store import LogitStore, tensor_digest
from study.distill.teachers import combined, load_weights, logits_of
from study.distill.threads import using_threads
from study.planning.keys import digest_of, logits_key, teacher_key, validation_key
from study.planning.plan import Target
from study.running.trial import WEIGHTS, FloatArray

LogitSplit = Literal["train", "validation"]
"""Images that logits are stored of."""


@dataclass(frozen=True)
class TaughtLogits:
    """The logits of the teachers of one study.

    Args:
        root: the folder in which all studies share their teachers.
        dataset: what its students learn from.
        whole: what its teachers learn from: the same, or the images that `dataset` is a share of.
        digests: as in `study.planning.keys.training_key`, of everything that the study file names.
        threads: returns how many threads a teacher uses.
        says: takes one line for the user.
    """

    root: Path
    dataset: Dataset
    whole: Dataset
    digests: Mapping[str, str]
    threads: Callable[[TrialConfig], int]
    says: Callable[[str], None]

    @property
    def folder(self) -> Path:
        """Where logits are stored."""
        return (self.root / "logits").absolute()

    def for_teachers(self, targets: Iterable[Target]) -> dict[str, FloatArray]:
        """Combined logits that teachers with teachers of their own learn from, by `key`."""
        return {
            self.key(teachers, how): combined([self._of(one) for one in teachers], how).numpy()
            for teachers, how in targets
        }

    def for_students(self, targets: Iterable[Target]) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """Combined logits that students learn from, and those that they are judged by, by `key` and `validation_key`.

        Returns:
            the logits, and the SHA-256 of those for training images, by `key`.
        """
        logits: dict[str, FloatArray] = {}
        digests: dict[str, str] = {}
        for teachers, how in targets:
            key = self.key(teachers, how)
            target = combined([self._of_share(teacher) for teacher in teachers], how)
            logits[key], digests[key] = target.numpy(), tensor_digest(target)
            judged = combined([self._of_share(teacher, "validation") for teacher in teachers], how)
            logits[validation_key(key)] = judged.numpy()
        return logits, digests

    def key(self, teachers: Sequence[TeacherConfig], how: Combination) -> str:
        """What identifies the combined logits that a student learns from."""
        return f"{teacher_key(teachers, self.digests)} {how}"

    def _of(self, teacher: TeacherConfig, split: LogitSplit = "train") -> Tensor:
        """A trained teacher's logits for the images that teachers learn from, or are judged by."""
        key = self._key_of(teacher)
        return self._stored(teacher, key, key, self.whole, split)

    def _of_share(self, teacher: TeacherConfig, split: LogitSplit = "train") -> Tensor:
        """A trained teacher's logits for the images that students learn from, or are judged by."""
        if self.whole is self.dataset:
            return self._of(teacher, split)
        key = self._key_of(teacher)
        # The teacher's input stays as in its training: the mean image of all training images is subtracted.
        share = replace(self.dataset, pixel_mean=self.whole.pixel_mean)
        return self._stored(teacher, key, digest_of(key, self.dataset.digest), share, split)

    def _stored(self, teacher: TeacherConfig, folder: str, key: str, images: Dataset, split: LogitSplit) -> Tensor:
        """Logits from the store. If they are missing there, they are computed and stored."""
        store = LogitStore(self.folder)
        if split == "validation":
            key = validation_key(key)
        count = images.train_size if split == "train" else len(images.validation.labels)
        logits = store.read(key, count, images.class_count)
        if logits is None:
            if store.path(key).exists():
                self.says(f"{store.path(key)}: damaged; the logits are computed again from the weights")
            logits = self._made(teacher, folder, images, split)
            store.write(key, logits)
        return logits

    def _made(self, teacher: TeacherConfig, folder: str, images: Dataset, split: LogitSplit) -> Tensor:
        """Logits from a teacher's own file, or from its weights."""
        if teacher.logits is not None:
            return read_logits(Path(teacher.logits), images.class_count).of(images, split)
        network = zoo.build(teacher.network, images.input_shape, images.class_count)
        given = None if teacher.weights is None else zoo.weights_file(teacher.weights)
        load_weights(network, given or self.root / "teachers" / folder / WEIGHTS, teacher.strict)
        with using_threads(self.threads(teacher_trial(teacher))):
            return logits_of(network, ImageTensors.of(images, split))

    def _key_of(self, teacher: TeacherConfig) -> str:
        """The key of a teacher's weights and of its logits for the images that teachers learn from."""
        return logits_key(teacher_trial(teacher), self.whole.digest, self.digests)
