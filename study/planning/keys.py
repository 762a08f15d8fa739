"""Keys: what identifies a training, a teacher and a teacher's logits.

Works on `TrialConfig` and `TeacherConfig`. A key is a digest of settings. Every setting counts unless it is known to be
irrelevant, so a new setting makes new keys and never merges two trainings. Knows nothing of where a key is used.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from models.own_code import is_own
from study.config import TeacherConfig, TrainConfig, TrialConfig, teacher_trial
from study.methods import NOISE_SETTINGS, SETTINGS, method_named
from study.noise.settings import Noise

KEY_FORMAT = 1
"""Version of the keys. A key leaves out every setting that equals its default, so a new setting changes no old key.
A changed default changes what a missing setting means: raise the version then."""

IRRELEVANT_TO_A_TRIAL = frozenset({"stage", "role"})
"""Fields of `TrialConfig` that do not change what is trained."""

IRRELEVANT_TO_TRAINING = frozenset({"target_error"})
"""Fields of `TrainConfig` that do not change what is trained."""

WRITTEN_AT_THEIR_DEFAULT = frozenset({"alpha", "temperature", "hard_loss_weight"})
"""Settings of methods that the keys of format 1 hold at their defaults too. Any other setting of a method is left out
of a key where it has its default, so that a new setting of a method changes no old key."""

ANY_SEED: Mapping[str, int | None] = MappingProxyType({"seed": 0, "teacher_seed": None})
"""Fields of `TrialConfig` that differ between the seeds of one arm, with one value for all."""

NO_DIGESTS: Mapping[str, str] = MappingProxyType({})


def digest_of(*parts: object) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of parts that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def training_key(trial: TrialConfig, digests: Mapping[str, str] = NO_DIGESTS) -> str:
    """What identifies one training. Trials with equal keys give the same network.

    The key leaves out the stage and the role. Noise with α = 0 or σ = 0 is no noise, so `noisy_teacher` and
    `noisy_student` without noise have the key of `logit_regression`. Noise of the form `scaled` is noise with α = 0
    and σ = 0 too. One draw per image has its former word `frozen` in the key, so that old keys stay.

    Args:
        trial: the training.
        digests: SHA-256 of what the study file names: of each file by its path, of code of the user by its reference.
            What is not in it counts by its path or reference.
    """
    return digest_of(KEY_FORMAT, _settings(trial, digests))


def teacher_key(teachers: Sequence[TeacherConfig], digests: Mapping[str, str] = NO_DIGESTS) -> str:
    """What identifies the teachers of a student: one key for each teacher, joined by `+`.

    Two teachers that differ in anything have two keys. How several teachers are combined is not part of it. Nor is the
    seed of the study that trains a teacher, where each seed brings its own: these are one design, and one arm.

    Args:
        teachers: of one student; none for a student that learns from labels.
        digests: as in `training_key`.
    """
    return "+".join(training_key(teacher_trial(teacher), digests) for teacher in teachers)


def logits_key(teacher: TrialConfig, images: str, digests: Mapping[str, str] = NO_DIGESTS) -> str:
    """What identifies the stored logits of one teacher, and its stored weights.

    Args:
        teacher: its training (`teacher_trial`).
        images: the digest of the data set it learns from: images, labels and splits.
        digests: as in `training_key`.
    """
    return digest_of(training_key(teacher, digests), images)


def validation_key(key: str) -> str:
    """What identifies logits for the validation images, by the key of the same teachers' logits for the training
    images."""
    return digest_of(key, "validation")


def _settings(trial: TrialConfig, digests: Mapping[str, str]) -> dict[str, Any]:
    """Every relevant setting that differs from its default, and the digests of the user's own code."""
    code = {"code": digests[trial.network]} if trial.network in digests else {}
    own_method = {"method_code": digests[trial.method]} if trial.method in digests else {}
    if trial.weights is not None:  # nothing is trained, so nothing else matters
        return {"network": trial.network, "weights": digests.get(trial.weights, trial.weights), **code}
    if trial.logits is not None:
        return {"network": trial.network, "logits": digests.get(trial.logits, trial.logits)}
    excluded = IRRELEVANT_TO_A_TRIAL | {"teachers", "teacher_seed", "train"}
    method = method_named(trial.method)
    for name, field in method.model_fields.items():
        if name in SETTINGS and name not in WRITTEN_AT_THEIR_DEFAULT and getattr(trial, name) == field.default:
            excluded |= {name}
    noise: Noise = trial.noise
    if not trial.has_noise:
        excluded |= set(NOISE_SETTINGS)
    elif not noise.of_form.in_logit_units:
        excluded |= {"sigma_unit"}  # σ is relative to each logit, whatever it says
    if len(trial.teachers) == 1 and trial.combine != "mean_distribution":
        excluded |= {"combine"}  # one teacher is its own geometric mean
    settings: dict[str, Any] = trial.model_dump(mode="json", exclude_defaults=True, exclude=set(excluded))
    if method.without_noise is not None and not trial.has_noise and not is_own(trial.method):
        settings["method"] = method.without_noise
    if "noise" in settings:
        settings["noise"] = "frozen" if noise.changes == {"per": "image"} else noise.changes
        if noise.form in digests:
            settings["noise_code"] = digests[noise.form]
    settings |= code | own_method
    settings["train"] = _train_settings(trial.train)
    if trial.teachers:
        settings["teachers"] = [_settings(teacher_trial(teacher), digests) for teacher in trial.taught_by]
    return settings


def _train_settings(train: TrainConfig) -> dict[str, Any]:
    excluded = set(IRRELEVANT_TO_TRAINING)
    if train.optimizer != "sgd":
        excluded.add("momentum")
    return train.model_dump(mode="json", exclude_defaults=True, exclude=excluded)
