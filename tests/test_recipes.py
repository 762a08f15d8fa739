"""Every recipe is a study that can be run as it stands, and asks for what it says it reproduces."""

import tarfile
from pathlib import Path

import pytest
from PIL import Image

from models.cost import network_cost
from search_spaces.library import recipe_names, recipe_text
from search_spaces.published import TABLES, PublishedError, find_published
from study.config import StudyConfig, Uniform, dump_study, parse_study
from study.data.load import describe_dataset
from study.planning import plan
from study.planning.check import check_study

RECIPES = recipe_names()
JPEG = "data={name: image_folder, path: cifar10-jpeg.tar.gz, validation: 5000}"


def _study(name: str, *overrides: str) -> StudyConfig:
    return parse_study(recipe_text(name), name, overrides)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_run(name: str, tmp_path: Path) -> None:
    config = _study(name)
    check_study(config, describe_dataset(config.data, tmp_path))
    assert config.name == name
    assert parse_study(dump_study(config), "again") == config


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_begins_with_its_description(name: str) -> None:
    """A recipe begins with what it is, how it is launched and what it takes."""
    header = "\n".join(line for line in recipe_text(name).splitlines() if line.startswith("#"))
    assert header.startswith(f"# {name}: ")
    assert f"#   noisy-study run {name}\n" in header
    words = " ".join(header.replace("\n#", " ").split())
    assert "GPU" in words
    assert "2 CPU cores" in words


@pytest.mark.parametrize("table", [name for name, table in TABLES.items() if table.baselines])
def test_every_published_number_has_a_trial_to_stand_beside(table: str) -> None:
    (config,) = (study for study in map(_study, RECIPES) if study.published == table)
    found: list[PublishedError | None] = [
        find_published(
            table,
            student=trial.network,
            method=trial.method,
            sigma=None
            if trial.alpha == 0
            else trial.sigma.uniform
            if isinstance(trial.sigma, Uniform)
            else trial.sigma,
            alpha=trial.alpha or None,
            teachers=tuple(teacher.network for teacher in trial.teachers),
            dropout=trial.dropout,
        )
        for trial in plan.grid_trials(config)
    ]
    assert None not in found
    assert set(found) == {*TABLES[table].baselines, *TABLES[table].errors}
    assert config.data.name == TABLES[table].dataset


def test_stetsenkos_claim_has_a_recipe_with_a_target() -> None:
    config = _study("mnist-stetsenko")
    assert config.published == "stetsenko"
    assert config.train.target_error == 0.02
    assert {trial.method for trial in plan.grid_trials(config)} == {"labels", "logit_regression", "noisy_teacher"}


@pytest.mark.parametrize("suffix", ["", "-100"])
def test_assistants_are_ordered_by_size(suffix: str) -> None:
    """Assistants stand between the teacher and the student by size."""
    name = "cifar100-teacher-assistant" if suffix else "cifar10-teacher-assistant"
    config = _study(name)
    levels = [[trial.network for trial in level] for level in plan.teacher_levels(config)]
    assert levels == [
        [f"takd-cnn10{suffix}"],
        [f"takd-cnn{layers}{suffix}" for layers in (8, 6, 4)],
        [f"takd-cnn6{suffix}"],
        [f"takd-cnn4{suffix}"],
    ]
    costs = [network_cost(f"takd-cnn{layers}{suffix}").multiplications for layers in (2, 4, 6, 8, 10)]
    assert costs == sorted(costs)
    assert config.student.network == f"takd-cnn2{suffix}"


def test_three_networks_make_the_ensemble() -> None:
    (group,) = {trial.teachers for trial in plan.grid_trials(_study("cifar10-ensemble")) if len(trial.teachers) > 1}
    assert [teacher.network for teacher in group] == ["nin", "alexnet-cifar10", "resnet20"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with CIFAR-10's shape as a tar file of pictures, one of each class."""
    root = tmp_path_factory.mktemp("root")
    for part in ("train", "test"):
        for label in range(10):
            (root / part / f"class{label}").mkdir(parents=True)
            Image.new("RGB", (32, 32), (label * 20, 0, 0)).save(root / part / f"class{label}" / "0000.jpg")
    with tarfile.open(root / "cifar10-jpeg.tar.gz", "w:gz") as tar:
        for part in ("train", "test"):
            tar.add(root / part, part)
    return root


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("cifar10-")])
def test_tar_file_replaces_cifar10_by_one_word(name: str, pictures: Path) -> None:
    """Pictures from a tar file take the place of CIFAR-10 by one word."""
    config = _study(name, JPEG)
    check_study(config, describe_dataset(config.data, pictures))
    assert config.data.name == "image_folder"
    assert config.data.mirror
    assert config.data.preprocess == ("subtract_pixel_mean",)
    assert "path: cifar10-jpeg.tar.gz, validation: 5000" in recipe_text(name)
