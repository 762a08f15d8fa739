"""The studies of files from package registries in docs/how-to.md run to their plan, on stand-ins for the files."""

import gzip
import pickle
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.own_process import try_here

from study.data.load import describe_dataset, load_dataset
from study.distill.teachers import check_given_files
from study.lookup import study_of
from study.planning import plan
from study.planning.check import check_study

TEXT = (Path(__file__).parents[2] / "docs/how-to.md").read_text(encoding="utf-8")


def _write(mark: str, name: str) -> str:
    """The code block behind a mark of the page, as a file in the working folder."""
    found = re.search(rf"^<!-- example: {re.escape(mark)} -->\n```\w+\n(.*?)^```", TEXT, flags=re.M | re.S)
    assert found is not None, f"docs/how-to.md has no example: {mark}"
    Path(name).write_text(found[1], encoding="utf-8")
    return name


@pytest.fixture
def icons(workspace: Path) -> Path:
    """Icons of several sizes with transparent pixels; the commands of the page put them in these folders."""
    rng = np.random.default_rng(0)
    for name in re.findall(r"pictures/(\w+)", re.findall(r"^mkdir -p (pictures.*)$", TEXT, flags=re.M)[0]):
        (workspace / "pictures" / name).mkdir(parents=True)
        for at in range(12):
            side = (32, 64, 128)[at % 3]
            pixels = rng.integers(0, 256, (side, side, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(workspace / "pictures" / name / f"{at}.png")
    return workspace


@pytest.fixture
def animals(workspace: Path) -> Path:
    """The package's two files."""
    folder = workspace / "animal_mnist/data/Animal_MNIST"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (2500, 28, 28), dtype=np.uint8)
    for name, array in {"data": images, "label": np.arange(2500) // 250}.items():
        (folder / f"animal_{name}_version_3.gz").write_bytes(gzip.compress(pickle.dumps(array)))
    runpy.run_path(_write("save_animals.py", "save_animals.py"))
    return workspace


def test_icons_of_three_sizes(icons: Path) -> None:
    study = study_of(_write("study in icons.yaml", "icons.yaml"))
    facts = describe_dataset(study.data, icons)
    assert (facts.input_shape, facts.class_count) == ((3, 32, 32), 4)
    check_study(study, facts)
    assert len(plan.grid_trials(study)) == 15


def test_a_network_of_torchvision_teaches_ones_own(icons: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try_here(monkeypatch)
    _write("network in mine.py", "mine.py")
    study = study_of(_write("study in icons-torchvision.yaml", "icons-torchvision.yaml"))
    check_study(study, describe_dataset(study.data, icons))
    assert len(plan.grid_trials(study)) == 15


def test_arrays_of_a_package(animals: Path) -> None:
    study = study_of(_write("study in animals.yaml", "animals.yaml"))
    facts = describe_dataset(study.data, animals)
    assert (facts.input_shape, facts.class_count) == ((1, 28, 28), 10)
    check_study(study, facts)


def test_a_teacher_of_scikit_learn(animals: Path) -> None:
    runpy.run_path(_write("teach_animals.py", "teach_animals.py"))
    study = study_of(_write("study in animals-logits.yaml", "animals-logits.yaml"))
    dataset = load_dataset(study.data, animals)
    facts = describe_dataset(study.data, animals)
    check_study(study, facts)
    check_given_files(plan.teacher_trials(study), facts, dataset)
    assert len(plan.grid_trials(study)) == 15
