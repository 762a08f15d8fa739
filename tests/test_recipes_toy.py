"""Every recipe from its command to its table, on toy images with toy networks: one epoch, one seed, two arms.

Slow (a Ray for every recipe), so not among the tests that run by default: `pytest -m slow`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from search_spaces.library import recipe_names, recipe_text
from study.config import StudyConfig

pytestmark = pytest.mark.slow

NOISY_STUDY = str(Path(sys.executable).with_name("noisy-study"))
SIZES = {"mnist": 28, "digits": 8}
Document = dict[str, Any]


def _pictures(folder: Path, classes: int, side: int) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        for label in range(classes):
            home = folder / part / f"class{label:03d}"
            home.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 255, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(home / f"{index}.png")


class Toys:
    """A toy network for every name, the same one for the same name; all have a hidden layer that dropout can follow."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._names: list[str] = []

    def __call__(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        return f"FC{4 + self._names.index(name)}-FC{self._classes}"

    def teacher(self, teacher: Document) -> Document:
        own = {"teachers": [self.teacher(one) for one in teacher["teachers"]]} if "teachers" in teacher else {}
        return {**teacher, "network": self(teacher["network"]), "train": {"epochs": 1}, **own}


def _toy(document: Document, folder: Path) -> Document:
    """The same experiment, smaller in everything."""
    dataset = document["data"]["name"]
    classes = 100 if dataset == "cifar100" else 10
    _pictures(folder, classes, SIZES.get(dataset, 32))
    toys = Toys(classes)
    arms = []
    for arm in document.get("arms", ())[-2:]:
        small = {key: value[:2] if isinstance(value, list) else value for key, value in arm.items()}
        if "teachers" in arm:
            small["teachers"] = [toys.teacher(teacher) for teacher in arm["teachers"]]
        if "student" in arm:
            small["student"] = {"network": [toys(network) for network in arm["student"]["network"][:2]]}
        arms.append(small)
    data = {"name": "image_folder", "path": str(folder), "validation": 0.25}
    if "fraction" in document["data"]:
        data["fraction"] = 0.5
    search = None
    if "search" in document:
        search = {**document["search"], "trials": 2, "startup_trials": 1, "confirm": {"top": 2, "seeds": 1}}
    return {
        **document,
        "data": data,
        "teachers": [toys.teacher(teacher) for teacher in document["teachers"]],
        "student": {"network": toys(document["student"]["network"])},
        "train": {"epochs": 1, **({"target_error": 0.999} if "target_error" in document["train"] else {})},
        "arms": arms,
        "seeds": [0],
        "search": search,
    }


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_comes_to_its_table(name: str, tmp_path: Path) -> None:
    toy = _toy(yaml.safe_load(recipe_text(name)), tmp_path / "pictures")
    config = StudyConfig.model_validate(toy)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy))

    def command(*words: str) -> str:
        ran = subprocess.run(
            [NOISY_STUDY, *words], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    command("run", "toy.yaml")
    rows = json.loads(command("table", name, "--format", "json"))["rows"]
    students = {row["student"] for row in rows}
    searched = sum(row["stage"] == "confirm" and row["role"] == "arm" for row in rows)
    assert sum(row["role"] == "baseline" for row in rows) == len(students)
    assert sum(row["role"] == "arm" for row in rows) == sum(arm.size for arm in config.arms) + searched
    assert (1 <= searched <= 2) if config.search is not None else searched == 0
    assert all(row["verdict"] in ("baseline", "one_seed") for row in rows)
    assert all(("reached_target" in row) == (config.train.target_error is not None) for row in rows)
