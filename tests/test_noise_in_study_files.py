"""Readings and settings of the noise as a study file gives them."""

import warnings
from typing import Any

import pytest
from pydantic import ValidationError

from study.config import StudyConfig, dump_study, one_line, parse_study
from study.noise.settings import READINGS, Noise
from study.planning.plan import grid_trials, teacher_trials
from study.tracking.names import Cost, run_name, run_params

STUDY: dict[str, Any] = {
    "name": "s",
    "data": {"name": "digits"},
    "teachers": [{"network": "digits-cnn"}],
    "student": {"network": "FC10"},
    "seeds": [0],
}
TEXT = """
name: s
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: FC10}
seeds: [0]
arms: [{method: noisy_teacher, sigma: 0.5, %s}]
"""


def _study(**arm: Any) -> StudyConfig:
    return StudyConfig.model_validate({**STUDY, "arms": [{"method": "noisy_teacher", "sigma": 0.5, **arm}]})


def _noises(config: StudyConfig) -> list[Noise]:
    return [trial.noise for trial in grid_trials(config) if trial.role == "arm"]


@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student", "soft_targets"])
def test_a_reading_is_a_grid_of_its_settings(method: str) -> None:
    config = _study(method=method, reading=list(READINGS))
    assert _noises(config) == list(READINGS.values())
    assert parse_study(dump_study(config), "again") == config


def test_lists_inside_of_noise_are_a_grid() -> None:
    noises = _noises(_study(noise={"form": ["additive", "scaled"], "per": ["batch", "image"]}))
    assert [(noise.form, noise.per) for noise in noises] == [
        ("additive", "batch"),
        ("additive", "image"),
        ("scaled", "batch"),
        ("scaled", "image"),
    ]


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"reading": "equation_2", "noise": {"form": "additive"}}, "`reading` and `noise` set the same settings"),
        ({"reading": "equation_3"}, "input should be 'equation_2'"),
        ({"noise": {"select": "batch", "per": "image"}}, "`select: batch` with `per: image`"),
        ({"noise": "frosen"}, "expected a mapping of form, across, per, select, schedule"),
        ({"sigma": 0, "reading": "section_4_1"}, "arms.0.reading: has no effect with sigma 0"),
        ({"sigma_unit": "logit_rms"}, "arms.0.sigma_unit: has no effect with noise that is relative"),
        ({"method": "labels", "sigma": None, "reading": "kd_lib"}, "`reading` is not a setting of labels"),
    ],
)
def test_a_mistake_in_noise_is_one_line(arm: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _study(**arm)
    assert message in one_line(refused.value)


@pytest.mark.parametrize(("word", "setting"), [("fresh", "{per: sample}"), ("frozen", "{per: image}")])
def test_a_former_word_is_read_with_a_line(word: str, setting: str) -> None:
    with pytest.warns(FutureWarning, match="is now `noise: {per") as said:
        old = parse_study(TEXT % f"noise: {word}", "s.yaml")
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = parse_study(TEXT % f"noise: {setting}", "s.yaml")
    assert _noises(old) == _noises(new)


def test_an_assistant_takes_a_reading() -> None:
    assistant = {"network": "FC10", "teachers": [{"network": "digits-cnn"}], "sigma": 0.5, "reading": "section_4_1"}
    config = StudyConfig.model_validate(
        {**STUDY, "teachers": [assistant], "arms": [{"method": "noisy_teacher", "sigma": 0.5}]}
    )
    assert [trial.noise for trial in teacher_trials(config)] == [Noise(), READINGS["section_4_1"]]


def test_runs_are_named_and_tracked_by_their_noise() -> None:
    noise = {"form": "additive", "schedule": "linear"}
    (trial,) = (t for t in grid_trials(_study(noise=noise, sigma_unit="logit_rms")) if t.role == "arm")
    assert run_name(trial) == "σ=0.50 rms α=0.50 section_4_1 linear σ seed 0"
    params = run_params(trial, "digits", Cost(1, 1), None)
    tracked = {name: value for name, value in params.items() if name.startswith("noise") or name == "sigma_unit"}
    assert tracked == {
        "noise": "fresh",
        "noise_form": "additive",
        "noise_schedule": "linear",
        "sigma_unit": "logit_rms",
    }
    assert "reading" not in params
    (trial,) = (t for t in grid_trials(_study(reading="chan_2017")) if t.role == "arm")
    assert run_params(trial, "digits", Cost(1, 1), None)["reading"] == "chan_2017"
