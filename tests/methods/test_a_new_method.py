"""A new method is one file and one line: everything that lists methods or settings then has it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

METHOD = '''
"""A method of a test: the distance of the logits, a power of it."""

from typing import ClassVar

from pydantic import Field

from study.methods.base import Batch, Method


class PowerDistance(Method):
    """The mean distance of the logits to a power."""

    name: ClassVar[str] = "power_distance"

    power: float = Field(3.0, gt=1, le=9, title="p", description="the power of the distance")

    def loss(self, batch):
        return (batch.logits - batch.clean_target).abs().pow(self.power).mean()
'''

PROGRAM = '''
import json
import torch
from docs.study_file_reference import reference
from study.config import dump_study, parse_study, teacher_trial
from study.data.tensors import ImageTensors
from study.distill.trainer import DistillationTrainer, TrainingData
from study.errors import UserError
from study.planning.keys import teacher_key, training_key
from study.planning.plan import grid_trials
from study.results.arms import METHOD_SETTINGS
from study.tracking.names import Cost, run_name, run_params

TEXT = """
name: mine
data: {name: digits}
teachers: [{network: FC8-FC10}]
student: {network: FC8-FC10}
train: {epochs: 1}
seeds: [0]
arms:
  - {method: power_distance, power: [2, 3, 4.5]}
  - method: logit_regression
    teachers: [{network: FC8-FC10, method: power_distance, power: 5, teachers: [{network: FC9-FC10}]}]
"""

def mistake(text):
    try:
        parse_study(text, "f")
    except UserError as error:
        return str(error)

config = parse_study(TEXT, "f")
arms = [trial for trial in grid_trials(config) if trial.method == "power_distance"]
assistant = config.arms[1].teachers[0]
images = ImageTensors(torch.rand(8, 1, 2, 2), torch.arange(8) % 3)
target = torch.rand(8, 3)
losses = []
for arm in arms:
    small = arm.model_copy(update={"network": "FC4-FC3"})
    trainer = DistillationTrainer(small, TrainingData(images, images, (1, 2, 2), 3), target)
    logits = trainer.network.train()(images.batch(torch.arange(8))).detach()
    expected = (logits - target).abs().pow(arm.power).mean().item()
    losses.append([trainer.run_epoch().train_loss, expected])
found = {
    "again": parse_study(dump_study(config), "f") == config,
    "powers": [trial.power for trial in arms],
    "size": config.arms[0].size,
    "keys": [training_key(trial) for trial in arms],
    "assistants": [teacher_key([assistant]), teacher_key([assistant.model_copy(update={"power": 6.0})])],
    "assistant": teacher_trial(assistant).power,
    "names": [run_name(trial) for trial in arms],
    "params": [run_params(trial, "digits", Cost(1, 1), None).get("power") for trial in arms],
    "losses": losses,
    "reference": [line for line in reference().splitlines() if line.startswith("| `power`")],
    "results": METHOD_SETTINGS["power_distance"],
    "out of bounds": mistake(TEXT.replace("4.5", "10")),
    "of another": mistake(TEXT + "  - {method: logit_regression, power: 2}"),
}
print(json.dumps(found))
'''


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of the project says once it has one more file and one more line."""
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("study", "models", "search_spaces"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "docs").mkdir()
    shutil.copy(ROOT / "docs/study_file_reference.py", tree / "docs")
    (tree / "study/methods/power_distance.py").write_text(METHOD, encoding="utf-8")
    listed = tree / "study/methods/__init__.py"
    text = listed.read_text(encoding="utf-8")
    line = "from study.methods.power_distance import PowerDistance\n"
    text = text.replace("from study.methods.soft_targets", f"{line}from study.methods.soft_targets")
    text = text.replace("SoftTargets, Labels)", "SoftTargets, Labels, PowerDistance)")
    assert text.count("PowerDistance") == 2
    listed.write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_the_study_file_takes_the_new_method(found: dict[str, Any]) -> None:
    assert found["again"]
    assert found["results"] == ["power"]


def test_the_setting_has_the_bounds_of_its_declaration(found: dict[str, Any]) -> None:
    assert "arms.0.power.2: input should be less than or equal to 9, not 10" in found["out of bounds"]
    assert "`power` is not a setting of logit_regression, but of power_distance" in found["of another"]


def test_a_list_of_the_setting_is_a_grid(found: dict[str, Any]) -> None:
    assert found["powers"] == [2.0, 3.0, 4.5]
    assert found["size"] == 3


def test_the_setting_counts_in_the_key_of_a_training(found: dict[str, Any]) -> None:
    assert len(set(found["keys"])) == 3


def test_the_setting_counts_in_the_key_of_a_teacher(found: dict[str, Any]) -> None:
    assert found["assistant"] == 5.0
    assert len(set(found["assistants"])) == 2


def test_the_setting_is_a_parameter_and_in_the_run_name(found: dict[str, Any]) -> None:
    assert found["params"] == ["2.0", "3.0", "4.5"]
    assert found["names"] == [
        "power distance p=2 seed 0",
        "power distance seed 0",
        "power distance p=4.5 seed 0",
    ]


def test_the_trainer_uses_the_loss_of_the_new_method(found: dict[str, Any]) -> None:
    """One mini-batch is the whole epoch, so the loss of the epoch is that of the initial weights."""
    for trained, expected in found["losses"]:
        assert trained == pytest.approx(expected, rel=1e-5)


def test_the_reference_shows_the_setting(found: dict[str, Any]) -> None:
    """The teacher's table has the setting without a description, that of an arm and of the baseline with one."""
    teacher, arm, baseline = sorted(found["reference"], key=len)
    assert arm == baseline
    assert "power_distance: the power of the distance (3)" in arm
    for line in (teacher, arm):
        assert "a number above 1 and at most 9" in line
