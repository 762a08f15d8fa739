"""The values of a study file: overrides, defaults, grids, seeds, a searched baseline."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from support.study_files import Document, mistake_in, study_file

from study.config import (
    MAX_SEED,
    ArmConfig,
    BaselineConfig,
    StudyConfig,
    TrainConfig,
    TrialConfig,
    Uniform,
    dump_study,
    parse_study,
)


def test_mappings_may_be_merged() -> None:
    text = study_file().replace("name: mine", "name: mine\ntrain: {<<: {epochs: 2, lr: 0.1}, epochs: 3}")
    assert parse_study(text, "f").train == TrainConfig(epochs=3, lr=0.1)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("photos", "studies/photos"),
        ("photos/", "studies/photos"),
        ("elsewhere", "elsewhere"),
        ("absent.tar", "absent.tar"),
        ("~/photos", "~/photos"),
    ],
)
def test_data_are_looked_for_beside_the_study_file(workspace: Path, path: str, seen: str) -> None:
    """Otherwise the path stays: it is looked for in the working folder and the data folder."""
    for folder in ("studies/photos", "photos", "elsewhere"):
        (workspace / folder).mkdir(parents=True)
    text = study_file(data={"name": "image_folder", "path": path})
    assert parse_study(text, "f", folder=workspace / "studies").data.path == seen
    assert parse_study(text, "f", folder=workspace).data.path == path


def test_overrides_are_applied_in_order() -> None:
    """Overrides make the mappings that are missing on their way."""
    overrides = ["train.epochs=2", "search.confirm.top=3", "arms.0.sigma=[0.3, 0.8]", "train.epochs=4", "seeds=[7]"]
    config = parse_study(study_file(), "f", overrides, name="yours")
    assert config.name == "yours"
    assert config.train.epochs == 4
    assert config.search is not None
    assert config.search.confirm.top == 3
    assert config.arms[0].sigma == (0.3, 0.8)
    assert config.seeds == (7,)


def test_an_override_may_remove_a_value() -> None:
    assert parse_study(study_file(search={"trials": 3}), "f", ["search="]).search is None


def test_one_value_is_a_grid_of_one() -> None:
    arm = ArmConfig.model_validate({"method": "noisy_teacher", "sigma": 0.5, "alpha": [0.1, 0.2]})
    assert (arm.sigma, arm.alpha) == ((0.5,), (0.1, 0.2))
    assert arm.size == 2
    assert arm.model_dump(exclude_none=True) == {"method": "noisy_teacher", "sigma": 0.5, "alpha": (0.1, 0.2)}


def test_the_size_of_an_arm_is_that_of_its_grid() -> None:
    arm: Document = {"method": "soft_targets", "sigma": [0.1, {"uniform": [0, 1]}], "temperature": [1, 2, 3]}
    arm |= {"student": {"network": ["a", "b"]}, "train": {"lr": [0.1, 0.2], "epochs": 3}}
    assert ArmConfig.model_validate(arm).size == 2 * 3 * 2 * 2


def test_small_numbers_in_yaml_are_numbers() -> None:
    """YAML reads small numbers as text, and they are numbers all the same."""
    config = parse_study(study_file() + "\ntrain: {lr: 1e-4, weight_decay: 1e-5}\n", "f")
    assert (config.train.lr, config.train.weight_decay) == (1e-4, 1e-5)


def test_defaults_are_the_published_protocol() -> None:
    config = parse_study(study_file(data={"name": "cifar10"}), "f")
    assert (config.train.optimizer, config.train.batch_size, config.train.lr) == ("adam", 64, 1e-3)
    assert (config.train.schedule, config.train.precision) == ("constant", "fp32")
    assert (config.data.validation, config.data.preprocess) == (5000, ("subtract_pixel_mean",))
    assert config.data.mirror
    assert config.baseline == BaselineConfig(method="logit_regression")


def test_file_wins_over_dataset_defaults() -> None:
    """What a file says of its data wins over the dataset's defaults."""
    config = parse_study(study_file(data={"name": "cifar10", "augment": [], "validation": 0.2}), "f")
    assert (config.data.validation, config.data.mirror) == (0.2, False)


def test_search_seed_is_not_a_study_seed_by_default() -> None:
    """The search never trains with a seed of the study unless the file says so."""
    assert parse_study(study_file(seeds=[3, 9, 4], search={}), "f").search_seed == 10
    assert parse_study(study_file(seeds=[3, 9, 4], search={"seed": 4}), "f").search_seed == 4
    assert parse_study(study_file(seeds=[MAX_SEED, 0, 1], search={}), "f").search_seed == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "logit_regression", "sigma": 0.5, "alpha": 0.5},
        {"method": "labels", "sigma": Uniform(uniform=(0, 1))},
        {"method": "soft_targets"},
        {"method": "noisy_teacher", "sigma": 0.5, "temperature": 2.0},
    ],
)
def test_a_training_has_only_the_settings_of_its_method(settings: Document) -> None:
    with pytest.raises(ValidationError, match=settings["method"]):
        TrialConfig.model_validate({"stage": "grid", "role": "arm", "network": "a", "train": {}, "seed": 0, **settings})


def test_only_search_trials_do_not_use_the_test_set() -> None:
    common = {"role": "arm", "network": "a", "method": "logit_regression", "train": TrainConfig(), "seed": 0}
    stages = ("teacher", "grid", "search", "confirm")
    seen = {stage: TrialConfig.model_validate({**common, "stage": stage}).sees_test_set for stage in stages}
    assert seen == {"teacher": True, "grid": True, "search": False, "confirm": True}


def _with_searched_baseline(**changes: object) -> Document:
    """A study whose arms and whose baseline are both searched over the learning rate."""
    search = {"train": {"lr": [0.1, 0.2]}}
    text = study_file(search=search, baseline={"method": "logit_regression", "search": "equal"}, arms=[])
    return {**yaml.safe_load(text), **changes}


def test_a_baseline_may_be_searched_with_the_budget_of_the_arms() -> None:
    config = StudyConfig.model_validate(_with_searched_baseline())
    assert config.baseline.search == "equal"
    assert parse_study(dump_study(config), "again") == config


def test_searched_baseline_refuses_conflicts() -> None:
    """A searched baseline allows no unsearched arm, no grid sampler and no setting that is given twice."""
    arms = _with_searched_baseline(arms=[{"method": "labels"}])
    with pytest.raises(ValidationError, match="put the arms into a separate study"):
        StudyConfig.model_validate(arms)
    grid = {"train": {"lr": [0.1, 0.2]}, "sampler": "grid"}
    with pytest.raises(ValidationError, match="not possible with the sampler grid"):
        StudyConfig.model_validate(_with_searched_baseline(search=grid))
    baseline = {"method": "logit_regression", "search": "equal", "train": {"lr": 0.1}}
    with pytest.raises(ValidationError, match="lr is searched, so it cannot be set here too"):
        StudyConfig.model_validate(_with_searched_baseline(baseline=baseline))


@pytest.mark.parametrize(
    "baseline", [{"weight_decay": 0.001}, {"train": {"weight_decay": 0.001}}], ids=["its own key", "in train"]
)
def test_weight_decay_cannot_be_given_and_searched(baseline: Document) -> None:
    search = {"train": {"weight_decay": {"log_uniform": [0.0001, 0.01]}}}
    file = study_file(arms=[], search=search, baseline={"method": "logit_regression", "search": "equal", **baseline})
    assert "weight_decay is searched, so it cannot be set here too" in mistake_in(file)
