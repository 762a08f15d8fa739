"""Teachers that are read from a file: as trials, in keys, in the study file, and as what students learn from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support.small_trials import CLASSES, LOGITS, Trials, summary_of, teacher

from study.config import StudyConfig, dump_study, parse_study, teacher_trial
from study.data.dataset import DatasetFacts
from study.distill.logit_store import LogitStore
from study.errors import UserError
from study.planning.check import check_study
from study.planning.keys import teacher_key, training_key, validation_key
from study.running.job import DeviceImages
from study.running.taught import TaughtLogits
from study.tracking.names import run_params

pytest_plugins = ("support.small_trials",)


def _study(teacher: dict[str, Any], **keys: Any) -> StudyConfig:
    document = {
        "name": "s",
        "data": {"name": "digits"},
        "teachers": [teacher],
        "student": {"network": "FC10"},
        "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
        **keys,
    }
    return parse_study(yaml.safe_dump(document), "a test")


@pytest.fixture
def rows(trials: Trials) -> Trials:
    """Trials whose images know their places among 54 that were read: 24 to train on, 30 to validate."""
    dataset = replace(
        trials.images.dataset, read_images=54, train_rows=np.arange(30, 54), validation_rows=np.arange(30)
    )
    trials.images = DeviceImages(dataset)
    return trials


def _logits(trials: Trials, **arrays: Any) -> Path:
    """Right for every image but the first of each split; mirror images are wrong."""
    dataset = trials.images.dataset
    labels = np.concatenate([dataset.validation.labels, dataset.train.labels])
    train = np.eye(CLASSES, dtype=np.float32)[np.concatenate([labels, (labels + 1) % CLASSES])]
    test = np.eye(CLASSES, dtype=np.float32)[dataset.test.labels]
    train[0], test[0] = train[1], test[1]
    file = trials.folder / "big.npz"
    np.savez(file, **{"train": train, "test": test, **arrays})
    return file


def test_a_teacher_by_its_logits_is_measured(rows: Trials) -> None:
    given = teacher(network="logits of big.npz", logits=str(_logits(rows)))
    report = rows.run(given, "teacher").step()
    summary = summary_of(report)
    assert (summary.outcome, summary.best_val_error, summary.test_error) == ("completed", 1 / 30, 1 / 30)
    assert summary.predicted_classes == CLASSES
    assert rows.logits is not None
    right = rows.logits.argmax(dim=1).numpy() == np.tile(rows.images.dataset.train.labels, 2)
    assert right[:24].all()
    assert not right[24:].any()
    judged = LogitStore(rows.folder / "logits").read(validation_key(LOGITS), 30)
    assert judged is not None
    assert rows.run(given, "teacher").step() == report


def test_without_test_logits_there_is_no_test_error(rows: Trials) -> None:
    file = _logits(rows)
    with np.load(file) as content:
        train = content["train"]
    np.savez(file, train=train)
    summary = summary_of(rows.run(teacher(network="logits of big.npz", logits=str(file)), "teacher").step())
    assert (summary.test_error, summary.predicted_classes) == (None, None)
    assert summary.best_val_error is not None


def test_lost_logits_are_read_from_the_file_again(rows: Trials) -> None:
    config = _study({"logits": str(_logits(rows))})
    dataset = rows.images.dataset
    taught = TaughtLogits(rows.folder, dataset, dataset, {}, lambda trial: 1, pytest.fail)
    logits, _ = taught.for_students([(config.teachers, "geometric_mean")])
    shapes = [of_split.shape for of_split in logits.values()]
    assert shapes == [(dataset.train_size, CLASSES), (len(dataset.validation), CLASSES)]


def test_the_network_of_such_a_teacher_may_be_unknown() -> None:
    config = _study({"logits": "models/big.npz"})
    assert config.teachers[0].network == "logits of big.npz"
    assert not teacher_trial(config.teachers[0]).has_network
    assert parse_study(dump_study(config), "again") == config
    assert teacher_trial(_study({"network": "nin", "logits": "big.npz"}).teachers[0]).has_network


def test_an_unknown_cost_is_not_tracked() -> None:
    trial = teacher_trial(_study({"logits": "big.npz"}).teachers[0])
    params = run_params(trial, "digits", None, None)
    assert params["teacher"] == "logits of big.npz"
    assert not {"multiplications", "parameters"} & params.keys()


def test_keys_follow_the_content_of_the_file() -> None:
    config = _study({"logits": "big.npz"})
    (given,) = map(teacher_trial, config.teachers)
    keys = [training_key(given, digests) for digests in ({}, {"big.npz": "1"}, {"big.npz": "2"})]
    assert len(set(keys)) == 3
    assert teacher_key(config.teachers, {"big.npz": "1"}) == keys[1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"logits": "big.npz", "weights": "w.pt", "network": "nin"}, "give `weights` or `logits`, not both"),
        ({"logits": "big.npz", "train": {"epochs": 2}}, "has no effect for a teacher that is read from `logits`"),
        ({"logits": "big.npz", "strict": False}, "strict: has no effect without `weights`"),
        ({"network": "nin", "strict": False}, "strict: has no effect without `weights`"),
        ({"logits": "big.npz", "teachers": [{"network": "nin"}]}, "that is read from `logits` is not trained"),
        ({"network": "nin", "weights": "w.pt", "strict": 1}, "strict"),
        ({"weights": "w.pt"}, "network"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        _study(wrong)


def test_no_seed_can_train_a_teacher_by_its_logits() -> None:
    with pytest.raises(UserError, match="read from `logits`"):
        _study({"logits": "big.npz"}, vary=["student", "teacher"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"logits": "absent.npz"}, r"teacher logits of absent\.npz: logits absent\.npz: no such file"),
        ({"network": "digits-cnn", "weights": "absent.pt"}, r"teacher digits-cnn: weights absent\.pt: no such file"),
        (
            {"network": "digits-cnn", "weights": "torchvision:ResNet18_Weights.IMAGENET1K_V1"},
            r"no such file in the cache \(.*resnet18-f37072fd\.pth\); fetch it with: python -c",
        ),
        ({"network": "digits-cnn", "weights": "torchvision:Nothing.V1"}, "torchvision has no weights 'Nothing.V1'"),
    ],
)
def test_a_missing_file_is_found_before_the_start(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], says: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(workspace))
    with pytest.raises(UserError, match=says):
        check_study(_study(given), DatasetFacts((1, 8, 8), 10))
