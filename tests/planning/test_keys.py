"""Two trainings have one key only where they give the same network."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from study.config import Combination, StudyConfig, TeacherConfig, TrainConfig, TrialConfig, teacher_trial
from study.noise.settings import FORMER_WORDS, READINGS, Noise
from study.planning import plan
from study.planning.keys import (
    IRRELEVANT_TO_A_TRIAL,
    IRRELEVANT_TO_TRAINING,
    digest_of,
    logits_key,
    teacher_key,
    training_key,
)

TEACHER: dict[str, Any] = {"network": "digits-cnn"}
TRIAL: dict[str, Any] = {
    "stage": "grid",
    "role": "arm",
    "network": "digits-fc32",
    "method": "soft_targets",
    "teachers": [TEACHER],
    "sigma": 0.5,
    "alpha": 0.5,
    "temperature": 4.0,
    "hard_loss_weight": 0.0,
    "train": {"optimizer": "sgd"},
    "seed": 0,
}
OTHER_TRIAL: dict[str, Any] = {
    "stage": "confirm",
    "role": "baseline",
    "network": "FC10",
    "method": "noisy_teacher",
    "teachers": [TEACHER, TEACHER],
    "weights": "w.safetensors",
    "strict": False,
    "logits": "l.npz",
    "sigma": 0.6,
    "alpha": 0.6,
    "noise": {"per": "image"},
    "sigma_unit": "logit_rms",
    "label_noise": 0.1,
    "temperature": 2.0,
    "hard_loss_weight": 0.5,
    "combine": "mean_distribution",
    "dropout": 0.5,
    "train": {"optimizer": "sgd", "lr": 0.5},
    "seed": 1,
    "teacher_seed": 1,
}
"""Another value of every field. A new field needs one here, and then shows that it makes a new key."""

OF_OWN_METHODS = {"settings"}
"""A field that needs a method of the user (`tests/methods/test_own_method.py`)."""

WHERE_IT_MATTERS: dict[str, dict[str, Any]] = {
    "sigma_unit": {"noise": {"form": "additive"}},
    "label_noise": {"method": "labels", "teachers": [], "sigma": 0.0, "alpha": 0.0},
}
"""What a trial needs so that a field has an effect."""

OTHER_TRAIN: dict[str, Any] = {
    "epochs": 61,
    "batch_size": 65,
    "optimizer": "adam",
    "lr": 0.5,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "patience": 16,
    "precision": "bf16",
    "target_error": 0.1,
}

DEFAULTS_OF_FORMAT_1 = {
    "TrialConfig": {
        "teachers": [],
        "weights": None,
        "strict": True,
        "logits": None,
        "teacher_seed": None,
        "settings": {},
        "sigma": 0.0,
        "alpha": 0.0,
        "sigma_unit": "absolute",
        "noise": Noise(),
        "label_noise": 0.0,
        "temperature": None,
        "hard_loss_weight": None,
        "combine": "geometric_mean",
        "dropout": 0.0,
    },
    "TrainConfig": {
        "epochs": 60,
        "batch_size": 64,
        "optimizer": "adam",
        "lr": 0.001,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "constant",
        "patience": 15,
        "precision": "fp32",
        "target_error": None,
    },
}
"""A default that changes here changes the meaning of old keys: raise `KEY_FORMAT` with it."""


def _trial(**settings: Any) -> TrialConfig:
    document = {**TRIAL, **settings}
    if document["method"] != "soft_targets":
        document |= {"temperature": None, "hard_loss_weight": None}
    return TrialConfig.model_validate(document)


@pytest.mark.parametrize("field", sorted(set(TrialConfig.model_fields) - IRRELEVANT_TO_A_TRIAL - OF_OWN_METHODS))
def test_every_setting_of_a_trial_makes_a_new_key(field: str) -> None:
    needed = WHERE_IT_MATTERS.get(field, {})
    assert training_key(_trial(**needed, **{field: OTHER_TRIAL[field]})) != training_key(_trial(**needed))


@pytest.mark.parametrize("field", sorted(IRRELEVANT_TO_A_TRIAL))
def test_stage_and_role_make_no_new_key(field: str) -> None:
    assert training_key(_trial(**{field: OTHER_TRIAL[field]})) == training_key(_trial())


@pytest.mark.parametrize("field", sorted(set(TrainConfig.model_fields) - IRRELEVANT_TO_TRAINING))
def test_every_training_setting_makes_a_new_key(field: str) -> None:
    train = {"optimizer": "sgd", field: OTHER_TRAIN[field]}
    assert training_key(_trial(train=train)) != training_key(_trial())
    of_teacher = {**TEACHER, "train": {"optimizer": "sgd"}}
    changed = {**TEACHER, "train": train}
    assert _teacher_key(of_teacher) != _teacher_key(changed)


@pytest.mark.parametrize("field", sorted(IRRELEVANT_TO_TRAINING))
def test_what_is_only_measured_makes_no_new_key(field: str) -> None:
    train = {"optimizer": "sgd", field: OTHER_TRAIN[field]}
    assert training_key(_trial(train=train)) == training_key(_trial())


def test_momentum_matters_with_sgd_only() -> None:
    keys = {training_key(_trial(train={"optimizer": "adam", "momentum": momentum})) for momentum in (0.5, 0.9)}
    assert len(keys) == 1


@pytest.mark.parametrize("noise", [{"alpha": 0.0}, {"sigma": 0.0}, {"sigma": {"uniform": [0, 0]}}])
@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student"])
def test_no_noise_is_the_plain_method(method: str, noise: dict[str, Any]) -> None:
    plain = _trial(method="logit_regression", sigma=0.0, alpha=0.0)
    assert training_key(_trial(method=method, noise="frozen", **noise)) == training_key(plain)
    without, soft = (_trial(sigma=0.0, alpha=0.0), _trial(**noise))
    assert training_key(soft) == training_key(without) != training_key(plain)


GOLDEN_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "fresh": ({"method": "noisy_teacher"}, "60c64a00fee81a7f0e07570109f7a7eb"),
    "frozen": ({"method": "noisy_teacher", "noise": "frozen"}, "3ff11368bdc2e13fc43ff41c6b07a251"),
    "random": (
        {"method": "noisy_student", "sigma": {"uniform": [0.01, 1]}, "alpha": 0.15},
        "7bb576e95f9dcd196779149243b0c459",
    ),
    "soft": ({"method": "soft_targets", "noise": "frozen"}, "d3695116f43a4c458c9d48e713297fdd"),
    "no noise": ({"method": "noisy_teacher", "alpha": 0.0}, "b1968fdb41c89de208235cf4703ba819"),
}
"""Settings and the keys that they had before there were settings of the noise, at the commit 3032d29."""


@pytest.mark.parametrize("name", GOLDEN_KEYS)
def test_keys_of_older_studies_stay(name: str) -> None:
    settings, key = GOLDEN_KEYS[name]
    assert training_key(_trial(**settings)) == key


def test_former_words_have_the_keys_of_the_settings() -> None:
    for word, settings in FORMER_WORDS.items():
        assert training_key(_trial(noise=word)) == training_key(_trial(noise=settings.model_dump()))


def test_every_reading_has_a_key_of_its_own() -> None:
    keys = {training_key(_trial(method="noisy_teacher", noise=noise.model_dump())) for noise in READINGS.values()}
    assert len(keys) == len(READINGS)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("nothing", [{"alpha": 0.0}, {"sigma": 0.0}])
def test_only_scaled_noise_is_noise_at_zero(name: str, nothing: dict[str, Any]) -> None:
    """An arm of `chan_2017` with σ = 0 or α = 0 is not the baseline, and is never merged with it."""
    noise = READINGS[name].model_dump()
    is_plain = training_key(_trial(method="noisy_teacher", noise=noise, **nothing)) == training_key(
        _trial(method="logit_regression", sigma=0.0, alpha=0.0)
    )
    assert is_plain == (name != "chan_2017")


def test_the_unit_of_sigma_matters_for_additive_noise_only() -> None:
    for form, matters in (("multiplicative", False), ("additive", True), ("scaled", False)):
        keys = {training_key(_trial(noise={"form": form}, sigma_unit=unit)) for unit in ("absolute", "logit_rms")}
        assert len(keys) == (2 if matters else 1)


@pytest.mark.parametrize("combine", get_args(Combination))
def test_one_teacher_is_its_own_geometric_mean(combine: str) -> None:
    same = training_key(_trial(combine=combine)) == training_key(_trial())
    assert same == (combine != "mean_distribution")
    two = [TEACHER, {**TEACHER, "seed": 1}]
    assert (training_key(_trial(teachers=two, combine=combine)) == training_key(_trial(teachers=two))) == (
        combine == "geometric_mean"
    )


def test_training_settings_are_part_of_the_key() -> None:
    """Three teachers that differ in training only have three keys."""
    trains = [{"epochs": 6}, {"epochs": 1}, {"epochs": 6, "weight_decay": 0.1}]
    assert len({_teacher_key({**TEACHER, "train": train}) for train in trains}) == 3
    arms = [{"method": "logit_regression", "teachers": [{**TEACHER, "train": train}]} for train in trains]
    config = StudyConfig.model_validate(
        {"name": "s", "data": {"name": "digits"}, "teachers": [TEACHER], "student": {"network": "FC10"}, "arms": arms}
    )
    assert len(plan.teacher_trials(config)) == 4
    assert len(plan.grid_trials(config)) == 4 * 3


def test_a_weights_file_counts_by_its_content() -> None:
    one, other = ({"network": "digits-cnn", "weights": name} for name in ("a.safetensors", "b.safetensors"))
    assert _teacher_key(one) != _teacher_key(other)
    same = {"a.safetensors": "abc", "b.safetensors": "abc"}
    assert _teacher_key(one, same) == _teacher_key(other, same)
    assert _teacher_key(one, same) != _teacher_key(one, {"a.safetensors": "xyz"})
    assert _teacher_key(one, same) == _teacher_key({**one, "train": {"epochs": 3}, "seed": 4}, same)


def test_a_student_s_key_changes_with_its_teacher_s_teacher() -> None:
    chains = [{"network": "FC10", "teachers": [{**TEACHER, "train": {"epochs": epochs}}]} for epochs in (3, 4)]
    assert training_key(_trial(teachers=[chains[0]])) != training_key(_trial(teachers=[chains[1]]))


def test_several_teachers_have_their_keys_joined() -> None:
    two = [TeacherConfig.model_validate(document) for document in (TEACHER, {**TEACHER, "seed": 1})]
    assert teacher_key(two) == "+".join(teacher_key([teacher]) for teacher in two)
    assert teacher_key([]) == ""


def test_stored_logits_have_a_key_for_each_data_set() -> None:
    teacher = teacher_trial(TeacherConfig.model_validate(TEACHER))
    assert logits_key(teacher, "images") != logits_key(teacher, "other images")


@pytest.mark.parametrize("model", [TrialConfig, TrainConfig])
def test_no_default_changes_without_a_new_key_format(model: type[BaseModel]) -> None:
    """A key leaves out what equals its default, so a changed default would change the meaning of old keys."""
    known = DEFAULTS_OF_FORMAT_1[model.__name__]
    defaults = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
    assert {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()} == known


def test_a_digest_does_not_depend_on_the_order_of_a_mapping() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_parts_of_a_digest_do_not_run_together(one: list[str], other: list[str]) -> None:
    assert (digest_of(*one) == digest_of(*other)) == (one == other)
    assert digest_of(one) != digest_of(*one)
    assert digest_of(*one).isalnum()


def _teacher_key(document: dict[str, Any], weights: dict[str, str] | None = None) -> str:
    return teacher_key([TeacherConfig.model_validate(document)], weights or {})
