"""A method of the user: its settings in the study file, grids, keys, names and parameters, and its loss."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.own_process import try_here

from models import own_process
from models.own_code import copies_in
from study.config import StudyConfig, TrialConfig, dump_study, parse_study, teacher_trial
from study.data.dataset import DatasetFacts
from study.data.tensors import ImageTensors
from study.distill.trainer import DistillationTrainer, TrainingData
from study.errors import UserError
from study.methods import own
from study.planning import plan
from study.planning.check import check_study
from study.planning.keys import teacher_key, training_key
from study.running.started import code_digests, keep_code
from study.storage import StudyFolder
from study.tracking.names import Cost, run_name, run_params

CODE = """
from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from study.methods.base import Method, PerturbedMethod
from study.methods.noisy_teacher import NoisyTeacher


class Power(Method):
    power: float = Field(3.0, gt=1, le=9, title="p", description="of the distance")
    kind: str = "mean"

    def loss(self, batch):
        return (batch.logits - batch.clean_target).abs().pow(self.power).mean()


class Needs(Power):
    share: float = Field(gt=0)


class Noisy(NoisyTeacher):
    def loss(self, batch):
        return (batch.logits - batch.noisy_target).abs().mean()


class NoLoss(Method):
    pass


class Taken(Power):
    lr: float = 0.1


class OtherSigma(Power):
    sigma: int = 3


class Sum(Method):
    def loss(self, batch):
        return (batch.logits - batch.clean_target).square()


class Hangs(Method):
    def loss(self, batch):
        while True:
            pass


class Broken(Method):
    def loss(self, batch):
        return batch.logits @ batch.clean_target


class NotFinite(Method):
    def loss(self, batch):
        return batch.logits.sum() / 0


def function(batch):
    return batch.logits.sum()
"""
POWER = {"method": "mine.py:Power"}


@pytest.fixture
def here(workspace: Path) -> Path:
    (workspace / "mine.py").write_text(CODE, encoding="utf-8")
    return workspace


def _study(*arms: dict[str, Any], **keys: Any) -> StudyConfig:
    document = {
        "name": "s",
        "data": {"name": "digits"},
        "teachers": [{"network": "FC8-FC10"}],
        "student": {"network": "FC8-FC10"},
        "train": {"epochs": 1},
        "arms": list(arms),
        "seeds": [0],
        **keys,
    }
    return parse_study(yaml.safe_dump(document), "f")


def _arms(config: StudyConfig) -> list[TrialConfig]:
    return [trial for trial in plan.grid_trials(config) if trial.role == "arm"]


def _refusal(**arm: Any) -> str:
    with pytest.raises(UserError) as refused:
        _study(arm)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_its_settings_are_keys_of_the_arm_and_a_grid(here: Path) -> None:
    config = _study({**POWER, "power": [2, "4.5"], "kind": "sum"})
    assert config.arms[0].size == 2
    assert [trial.settings for trial in _arms(config)] == [{"power": 2.0, "kind": "sum"}, {"power": 4.5, "kind": "sum"}]
    assert parse_study(dump_study(config), "again") == config


def test_a_setting_that_is_not_given_has_its_default(here: Path) -> None:
    (trial,) = _arms(_study(POWER))
    assert trial.settings == {"power": 3.0, "kind": "mean"}
    assert TrialConfig.model_validate_json(trial.model_dump_json()) == trial


def test_settings_count_in_keys_names_and_parameters(here: Path) -> None:
    trials = _arms(_study({**POWER, "power": [2, 3, 4.5]}))
    assert len({training_key(trial) for trial in trials}) == 3
    assert [run_name(trial) for trial in trials] == [f"mine.py:Power{p} seed 0" for p in (" p=2", "", " p=4.5")]
    assert [run_params(trial, "digits", Cost(1, 1), None)["power"] for trial in trials] == ["2.0", "3.0", "4.5"]


def test_the_digest_of_its_code_counts_in_keys(here: Path) -> None:
    (trial,) = _arms(_study(POWER))
    keys = {training_key(trial, digests) for digests in ({}, {"mine.py:Power": "1"}, {"mine.py:Power": "2"})}
    assert len(keys) == 3


def test_an_assistant_may_learn_by_it(here: Path) -> None:
    def of(power: float) -> StudyConfig:
        own = {"network": "FC8-FC10", **POWER, "power": power, "teachers": [{"network": "FC9-FC10"}]}
        return _study({"method": "noisy_teacher", "sigma": 0.5}, teachers=[own])

    assistant = of(5).teachers[0]
    assert teacher_trial(assistant).settings["power"] == 5.0
    assert teacher_key([assistant]) != teacher_key(of(6).teachers)
    assert plan.own_code(of(5)) == ["mine.py:Power"]
    assert parse_study(dump_study(of(5)), "again") == of(5)


def test_without_noise_it_is_still_its_own_method(here: Path) -> None:
    """A subclass of the noisy teacher has another loss: with σ = 0 it is not the baseline."""
    config = _study({"method": "mine.py:Noisy", "sigma": [0, 0.5]})
    assert [trial.sigma for trial in _arms(config)] == [0.0, 0.5]
    assert len({training_key(trial) for trial in plan.grid_trials(config)}) == 3


def test_the_trainer_uses_its_loss(here: Path) -> None:
    """One mini-batch is the whole epoch, so the loss of the epoch is that of the initial weights."""
    (trial,) = _arms(_study({**POWER, "power": 2.5}))
    images, target = ImageTensors(torch.rand(8, 1, 2, 2), torch.arange(8) % 3), torch.rand(8, 3)
    small = trial.model_copy(update={"network": "FC4-FC3"})
    trainer = DistillationTrainer(small, TrainingData(images, images, (1, 2, 2), 3), target)
    logits = trainer.network.train()(images.batch(torch.arange(8))).detach()
    expected = (logits - target).abs().pow(2.5).mean().item()
    assert trainer.run_epoch().train_loss == pytest.approx(expected, rel=1e-5)


def test_a_study_uses_the_copy_of_its_method(here: Path) -> None:
    config, folder = _study(POWER), StudyFolder(here, "s")
    keep_code(config, folder)
    (here / "mine.py").write_text("raise RuntimeError('edited')\n", encoding="utf-8")
    with copies_in(folder.code):
        assert len(_arms(parse_study(dump_study(config), "again"))) == 1
        assert code_digests(config).keys() == {"mine.py:Power"}
    assert "mine.py cannot be imported: RuntimeError: edited (mine.py, line 1)" in _refusal(**POWER)


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({**POWER, "power": 10}, "arms.0: power: input should be less than or equal to 9, not 10"),
        ({**POWER, "powr": 2}, "unknown key `powr`"),
        ({**POWER, "settings": {"powr": 2}}, "`powr` is not a setting of mine.py:Power; did you mean `power`?"),
        ({**POWER, "sigma": 0.5}, "`sigma` is not a setting of mine.py:Power"),
        ({"method": "mine.py:Needs"}, "mine.py:Needs needs `share`"),
        ({"method": "mine.py:Absent"}, "mine.py has no `Absent`"),
        ({"method": "absent.py:X"}, "absent.py: no such file"),
        ({"method": "mine.py:function"}, "mine.py:function is not a method; expected a subclass of"),
        ({"method": "mine.py:NoLoss"}, "mine.py:NoLoss has no loss"),
        ({"method": "mine.py:Taken"}, "a setting cannot be called `lr`, which is another key"),
        ({"method": "mine.py:OtherSigma"}, "`sigma` is a setting of noisy_teacher, noisy_student, soft_targets with"),
        ({"method": "labels", "settings": {"power": 2}}, "`power` is not a setting of labels"),
        ({"method": "power"}, "method"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(here: Path, arm: dict[str, Any], says: str) -> None:
    assert says in _refusal(**arm)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("Sum", "the loss of mine.py:Sum is a tensor (4, 10); expected one number"),
        ("Broken", "the loss of mine.py:Broken: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("NotFinite", "the loss of mine.py:NotFinite is not a finite number"),
    ],
)
def test_the_loss_is_tried_before_the_start(
    here: Path, monkeypatch: pytest.MonkeyPatch, method: str, says: str
) -> None:
    try_here(monkeypatch)
    check_study(_study(POWER, {"method": "mine.py:Noisy", "sigma": 0.5}), DatasetFacts((1, 8, 8), 10))
    with pytest.raises(UserError) as refused:
        check_study(_study({"method": f"mine.py:{method}"}), DatasetFacts((1, 8, 8), 10))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_loss_that_hangs_is_ended(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried in a process of its own, with a time limit."""
    monkeypatch.setattr(own_process, "SECONDS", 1)
    with pytest.raises(UserError, match=r"the loss of mine.py:Hangs takes more than 1 s for four samples; does it han"):
        check_study(_study({"method": "mine.py:Hangs"}), DatasetFacts((1, 8, 8), 10))


def test_all_settings_of_a_method_are_tried_in_one_process(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def answer(function: str, task: dict[str, Any], *words: str) -> dict[str, Any]:
        asked.append(task)
        return own.answer_to(task)

    monkeypatch.setattr(own_process, "asked", answer)
    check_study(_study({**POWER, "power": [2, 3]}, {**POWER, "kind": "sum"}), DatasetFacts((1, 8, 8), 10))
    (task,) = asked
    assert [each["power"] for each in task["settings"]] == [2.0, 3.0, 3.0]
