"""Studies with code and files of the user through Ray, from their start to an exported file."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_end_to_end import command_in

from study.config import DataConfig
from study.data.load import load_dataset

CODE = """\
from parts_of_mine import Features
from pydantic import Field
from torch import nn

from study.methods.base import Method


class Power(Method):
    power: float = Field(2.0, gt=1, title="p")

    def loss(self, batch):
        return (batch.logits - batch.clean_target).abs().pow(self.power).mean()


class SmallNet(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.features = Features(input_shape[0])
        self.classes = nn.LazyLinear(classes)

    def forward(self, images):
        features = self.features(images)
        return self.classes(features.view(features.size(0), -1))
"""
PARTS = """\
from torch import nn


def Features(channels):
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
"""
STUDY = """\
name: own
data: {name: digits}
teachers: [{network: "mine.py:SmallNet", train: {epochs: 2}}]
student: {network: "mine.py:SmallNet"}
train: {epochs: 2, lr: 0.01}
arms: [{method: noisy_teacher, sigma: 0.5}, {method: "mine.py:Power", power: [2, 3]}]
seeds: [0, 1]
"""


@pytest.mark.slow  # three commands, a minute
def test_a_network_and_a_method_from_start_to_export(tmp_path: Path) -> None:
    """The code is edited before the study is extended: the study still uses its copy."""
    folder = tmp_path / "studies"
    folder.mkdir()
    for name, text in {"mine.py": CODE, "parts_of_mine.py": PARTS, "study.yaml": STUDY}.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = command_in(tmp_path)
    ran = command("run", "studies/study.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "own-student version 1, champion" in ran.stderr
    (folder / "mine.py").write_text("raise RuntimeError('edited')\n", encoding="utf-8")
    extended = command("extend", "own", "--set", "seeds=[0, 1, 2]")
    assert extended.returncode == 0, extended.stderr
    assert "studies/mine.py has changed since study own started; the study uses its copy" in extended.stderr
    table = json.loads(command("table", "own", "--format", "json").stdout)
    assert [(row["method"], row.get("power"), row["n"]) for row in table["rows"]] == [
        ("logit_regression", None, 3),
        ("noisy_teacher", None, 3),
        ("studies/mine.py:Power", 2.0, 3),
        ("studies/mine.py:Power", 3.0, 3),
    ]
    assert table["rows"][2]["sigma"] is None
    exported = command("export", "own", "--out", "student")
    assert exported.returncode == 0, exported.stderr
    card = (tmp_path / "student" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| student studies/mine.py:SmallNet | 2,944 |" in card


@pytest.mark.slow  # a whole study
def test_a_teacher_by_its_logits_from_start_to_table(tmp_path: Path) -> None:
    """Perfect logits: the teacher has no test error and no cost, its students learn from it."""
    data = load_dataset(DataConfig.model_validate({"name": "digits"}), tmp_path)
    logits = np.zeros((data.read_images, 10), dtype=np.float32)
    logits[data.train_rows, data.train.labels] = logits[data.validation_rows, data.validation.labels] = 9
    np.savez(tmp_path / "big.npz", train=logits)
    command = command_in(tmp_path)
    changes = ("teachers=[{logits: big.npz}]", "arms=[{method: noisy_teacher, sigma: 0.2}]", "seeds=[0, 1]")
    ran = command("run", "quickstart", *(word for change in changes for word in ("--set", change)))
    assert ran.returncode == 0, ran.stderr
    table = json.loads(command("table", "quickstart", "--format", "json").stdout)
    (baseline, arm) = table["rows"]
    assert arm["teacher"] == "logits of big.npz"
    assert arm["compression_ratio"] is None
    assert baseline["test_error_mean"] < 0.2
    exported = command("export", "quickstart", "--out", "student")
    assert exported.returncode == 0, exported.stderr
    card = (tmp_path / "student" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "The teacher was not measured: logits of big.npz: only its logits were given (big.npz)." in card
