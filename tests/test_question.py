"""The study files that `noisy-study try` makes of a user's question."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml

from study.config import SeedsUntilDecided, parse_study
from study.errors import UserError
from study.question import NOISY, PILOT_SEEDS, READINGS, SIGMAS, Question, noise_verdict
from study.results.rows import Table


def question(**keys: object) -> Question:
    return Question(**{"teacher": "digits-cnn", "student": "digits-fc32", "data": "digits", **keys})  # type: ignore[arg-type]


def test_three_readings_at_two_sizes_and_soft_targets_are_tried() -> None:
    study = parse_study(question().study_file(1.5), "f")
    noisy = [(arm.reading, arm.sigma) for arm in study.arms if arm.method == "noisy_teacher"]
    assert [reading for reading, _ in noisy] == [(reading,) for reading in READINGS]
    assert {sigma for _, sigma in noisy} == {SIGMAS}
    assert [arm.method for arm in study.arms[3:]] == ["soft_targets"]
    assert study.budget is not None
    assert study.budget.hours == 1.5
    assert "&" not in question().study_file(1.5), "no YAML anchors"
    assert isinstance(study.seeds, SeedsUntilDecided)


def test_sizes_are_relative_to_the_logits_in_all_readings() -> None:
    arms = yaml.safe_load(question().study_file(1))["arms"]
    assert [arm.get("sigma_unit") for arm in arms if arm.get("reading") == "section_4_1"] == ["logit_rms"]


def test_the_pilot_has_seeds_that_the_study_never_trains() -> None:
    asked = question()
    assert not set(asked.pilot().seed_list) & set(parse_study(asked.study_file(1), "f").seed_list)
    assert asked.pilot().seed_list == PILOT_SEEDS


def test_both_files_take_the_same_settings() -> None:
    asked = question(overrides=("train.epochs=7",))
    assert asked.pilot().train.epochs == 7
    assert parse_study(asked.study_file(1), "f").train.epochs == 7


@pytest.mark.parametrize(
    ("student", "name"),
    [("mine.py:SmallNet", "try-smallnet"), ("[C3@4]-FC10", "try-c3-4-fc10"), ("fc800", "try-fc800")],
)
def test_a_study_is_named_after_its_student(student: str, name: str) -> None:
    assert question(student=student).study_name == name


def test_a_path_is_a_folder_of_pictures(tmp_path: Path) -> None:
    data = question(data=str(tmp_path), size=32).pilot().data
    assert (data.name, data.path, data.size) == ("image_folder", str(tmp_path), (32, 32))


@pytest.mark.parametrize("name", ["a.npz", "train.parquet", "set/metadata.csv", "set/data/train.parquet"])
def test_arrays_and_tables_are_known_by_their_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    given = tmp_path / "set" if "/" in name else tmp_path / name
    assert question(data=str(given)).pilot().data.name == "arrays"


def test_data_that_is_nowhere_is_refused() -> None:
    with pytest.raises(UserError, match=r"--data picturs: no such file or folder.*known: digits, mnist"):
        question(data="picturs").pilot()


def test_the_study_file_says_how_to_change_it() -> None:
    assert "noisy-study extend try-digits-fc32 --set budget.hours=8" in question().study_file(1)


@pytest.mark.parametrize(
    ("verdicts", "begins"),
    [
        (("better", "worse"), "A noisy teacher helps: "),
        (("worse", "undecided"), "It is undecided whether a noisy teacher helps: "),
        (("worse", "no_difference_that_matters"), "A noisy teacher does not help: "),
    ],
)
def test_one_sentence_says_whether_noise_helps(
    verdicts: tuple[str, str], begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.question.arm_words", lambda row: "noisy teacher, σ = 0.3")
    arm = SimpleNamespace(role="arm", method=NOISY)
    rows = [SimpleNamespace(arm=arm, verdict=verdict, improvement_percent=8.0) for verdict in verdicts]
    assert noise_verdict(cast(Table, SimpleNamespace(rows=rows))).startswith(begins)
