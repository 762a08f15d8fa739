"""Teacher assistants: a teacher may have teachers of its own, in a chain of any length."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from study.config import StudyConfig, TeacherConfig, TrialConfig, dump_study, one_line, parse_study, teacher_trial
from study.data.dataset import Dataset, Split
from study.distill.logit_store import LogitStore
from study.distill.teachers import combined
from study.distill.trainer import DistillationTrainer, TrainingData
from study.planning import plan
from study.planning.keys import logits_key, teacher_key
from study.running.job import DeviceImages, TrialJob
from study.running.journal import StageJournal
from study.running.sources import Planned
from study.running.trial import TrialRun
from study.tracking.names import Cost, chain_name, run_name, run_params

TEN: dict[str, Any] = {"network": "ten"}
EIGHT: dict[str, Any] = {"network": "eight", "teachers": [TEN]}
SIX: dict[str, Any] = {"network": "six", "teachers": [EIGHT]}


def _study(**settings: Any) -> StudyConfig:
    document: dict[str, Any] = {"name": "s", "data": {"name": "digits"}, "teachers": [TEN], "seeds": [0, 1]}
    arms = [{"method": "soft_targets", "teachers": [SIX]}]
    return StudyConfig.model_validate({**document, "student": {"network": "two"}, "arms": arms, **settings})


def _teacher(document: dict[str, Any]) -> TeacherConfig:
    return TeacherConfig.model_validate(document)


def _trial(document: dict[str, Any]) -> TrialConfig:
    return teacher_trial(_teacher(document))


# ------------------------------------------------------------------------------------------------------- the study file


def test_assistant_learns_by_soft_targets_by_default() -> None:
    """An assistant learns by soft targets unless its settings name another method."""
    trial = _trial(EIGHT)
    assert (trial.stage, trial.role, trial.method) == ("teacher", "teacher", "soft_targets")
    assert (trial.temperature, trial.hard_loss_weight, trial.sigma, trial.alpha) == (4.0, 0.0, 0.0, 0.0)
    assert [teacher.network for teacher in trial.teachers] == ["ten"]


def test_any_link_may_be_noisy() -> None:
    soft, regression = _trial({**EIGHT, "sigma": 0.3}), _trial({**EIGHT, "method": "noisy_teacher", "sigma": 0.3})
    assert (soft.method, soft.sigma, soft.alpha) == ("soft_targets", 0.3, 0.5)
    assert (regression.method, regression.sigma, regression.temperature) == ("noisy_teacher", 0.3, None)


def test_a_teacher_without_teachers_learns_from_labels() -> None:
    trial = _trial(TEN)
    assert (trial.method, trial.teachers, trial.temperature) == ("labels", (), None)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {**TEN, "temperature": 2},
            "`temperature` needs a teacher with `teachers` of its own, and this teacher has none",
        ),
        ({**TEN, "method": "labels"}, "`method` needs a teacher with `teachers` of its own"),
        ({**EIGHT, "method": "labels"}, "cannot learn from labels"),
        ({**EIGHT, "method": "noisy_teacher"}, "noisy_teacher needs `sigma`"),
        (
            {**EIGHT, "method": "logit_regression", "temperature": 2},
            "`temperature` is not a setting of logit_regression",
        ),
        (
            {**EIGHT, "method": "logit_regression", "combine": "mean_distribution"},
            "mean_distribution is for soft_targets",
        ),
        ({**EIGHT, "weights": "w.safetensors"}, "read from `weights` is not trained"),
        ({**EIGHT, "teachers": []}, "teachers: expected at least 1 item"),
        ({**EIGHT, "teachers": [{**TEN, "sede": 1}]}, "teachers.0: unknown key `sede`; did you mean `seed`?"),
    ],
)
def test_a_mistake_in_a_chain_is_named(document: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _teacher(document)
    assert expected in one_line(refused.value)


def test_a_chain_comes_back_from_its_own_study_file() -> None:
    config = _study()
    assert parse_study(dump_study(config), "again") == config


def test_a_tree_of_aliases_is_refused_at_once() -> None:
    tree = TEN
    for _ in range(40):
        tree = {"network": "x", "teachers": [tree] * 10}
    with pytest.raises(ValidationError) as refused:
        _teacher(tree)
    assert "at most 100" in one_line(refused.value)  # and not in `str`, which would write out the whole tree


# ------------------------------------------------------------------------------------------------------------- the plan


def test_teachers_come_level_by_level_and_each_once() -> None:
    wide = {"network": "wide", "teachers": [EIGHT, TEN]}
    arms = [{"method": "soft_targets", "teachers": [teacher]} for teacher in (SIX, EIGHT, TEN, wide)]
    levels = plan.teacher_levels(_study(arms=arms))
    assert [[trial.network for trial in level] for level in levels] == [["ten"], ["eight"], ["six", "wide"]]
    assert [trial.network for trial in plan.teacher_trials(_study(arms=arms))] == ["ten", "eight", "six", "wide"]


def test_target_is_teachers_and_their_combination() -> None:
    """A target is a group of teachers and the way in which they are combined."""
    both = {"method": "soft_targets", "teachers": [TEN, EIGHT], "combine": ["mean_distribution", "geometric_mean"]}
    found = plan.targets(_study(arms=[both, {"method": "labels"}, {"method": "logit_regression"}]))
    assert [([teacher.network for teacher in teachers], how) for teachers, how in found] == [
        (["ten"], "geometric_mean"),
        (["ten", "eight"], "mean_distribution"),
        (["ten", "eight"], "geometric_mean"),
    ]


def test_search_may_propose_every_combination() -> None:
    """A search may propose every combination of the study's teachers."""
    found = plan.targets(_study(arms=[], search={}))
    assert [how for _, how in found] == ["geometric_mean", "signed_geometric_mean", "mean_distribution"]


def test_training_settings_are_grid_dimensions() -> None:
    """Dropout, weight decay and combinations of teachers are dimensions of the grid."""
    arm = {"method": "soft_targets", "dropout": [0, 0.5], "weight_decay": [0.1, 0.01], "sigma": [0.1, 0.2]}
    arm |= {"combine": ["geometric_mean", "mean_distribution"]}
    config = _study(arms=[arm], train={"weight_decay": 0.5})
    trials = [trial for trial in plan.grid_trials(config) if trial.role == "arm"]
    assert len(trials) == 2 * 2 * 2 * 2 * 2 == config.arms[0].size * 2
    points = {(trial.dropout, trial.train.weight_decay, trial.combine, trial.sigma, trial.seed) for trial in trials}
    assert len(points) == len(trials)
    assert {point[:3] for point in points if point[0] == 0.5 and point[1] == 0.1} == {
        (0.5, 0.1, "geometric_mean"),
        (0.5, 0.1, "mean_distribution"),
    }


def test_dropout_arm_is_compared_with_no_dropout() -> None:
    """An arm with dropout is compared with the student without dropout."""
    arm = {"method": "logit_regression", "dropout": 0.5, "weight_decay": 0.1}
    baseline, trial = plan.grid_trials(_study(arms=[arm], seeds=[0]))
    assert (baseline.role, baseline.network, baseline.dropout, baseline.train.weight_decay) == ("baseline", "two", 0, 0)
    assert (trial.role, trial.network, trial.dropout, trial.train.weight_decay) == ("arm", "two", 0.5, 0.1)


# ------------------------------------------------------------------------------------------------------- keys and names


def test_a_key_knows_everything_that_made_a_teacher() -> None:
    documents = [
        TEN,
        {**TEN, "seed": 1},
        {**EIGHT, "teachers": [TEN]},
        {**EIGHT, "teachers": [{**TEN, "seed": 1}]},
        {**EIGHT, "teachers": [{**TEN, "train": {"epochs": 3}}]},
        {**EIGHT, "teachers": [TEN, {**TEN, "seed": 1}]},
        {**EIGHT, "temperature": 2},
        {**EIGHT, "sigma": 0.5},
        {**EIGHT, "sigma": 0.5, "noise": "frozen"},
        {**EIGHT, "combine": "mean_distribution"},
        {"network": "eight"},
    ]
    keys = [teacher_key([_teacher(document)]) for document in documents]
    assert len(set(keys)) == len(keys)
    assert logits_key(_trial(SIX), "images") == logits_key(_trial(SIX), "images")
    assert logits_key(_trial(SIX), "images") != logits_key(_trial(SIX), "other images")


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([TEN], "ten"),
        ([SIX], "six<eight<ten"),
        ([SIX, TEN], "six<eight<ten+ten"),
        ([{"network": "a", "teachers": [EIGHT, TEN]}], "a<(eight<ten+ten)"),
        ([{**EIGHT, "sigma": 0.5, "temperature": 2}], "eight(τ=2 σ=0.50 α=0.50)<ten"),
        ([{**EIGHT, "method": "logit_regression"}], "eight(logit regression)<ten"),
        ([{**TEN, "seed": 3}], "ten(seed 3)"),
    ],
)
def test_a_chain_reads_from_the_student_up(documents: list[dict[str, Any]], expected: str) -> None:
    assert chain_name([_teacher(document) for document in documents]) == expected


def _params(trial: TrialConfig) -> dict[str, str]:
    return run_params(trial, "digits", Cost(1, 1), Cost(2, 2) if trial.teachers else None)


def test_nearest_teacher_is_recorded_with_the_chain() -> None:
    """The teacher of a student is the nearest one, and the whole chain stands beside it."""
    baseline, student = (trial for trial in plan.grid_trials(_study(seeds=[0])))
    assert (_params(student)["teacher"], _params(student)["teacher_chain"]) == ("six", "six<eight<ten")
    assert _params(baseline)["teacher"] == "ten"
    assert "teacher_chain" not in _params(baseline)
    assert run_name(student) == "soft targets of six<eight<ten τ=4 seed 0"


def test_an_assistants_run_says_how_it_learnt() -> None:
    ten, eight = _params(_trial(TEN)), _params(_trial({**EIGHT, "sigma": 0.5}))
    assert (eight["teacher"], eight["teacher_chain"], eight["sigma"], eight["temperature"]) == (
        *("eight", "eight<ten"),
        *("0.5", "4.0"),
    )
    assert ten["teacher"] == "ten"
    assert not {"teacher_chain", "sigma", "alpha", "student", "target_error"} & ten.keys()
    assert run_name(_trial(EIGHT)) == "teacher eight<ten seed 0"


def test_what_an_arm_sets_is_among_its_parameters() -> None:
    both = {"method": "soft_targets", "teachers": [TEN, EIGHT], "combine": "mean_distribution", "dropout": 0.2}
    (trial,) = (t for t in plan.grid_trials(_study(arms=[both], seeds=[0], train={"target_error": 0.1})) if t.dropout)
    params = _params(trial)
    assert (params["combine"], params["dropout"], params["target_error"]) == ("mean_distribution", "0.2", "0.1")
    assert params["teacher"] == "ten+eight"
    assert run_name(trial) == "soft targets of ten+eight<ten mean distribution τ=4 dropout=0.2 seed 0"


# ---------------------------------------------------------------------------------------------------------- the journal


def test_chain_levels_are_separate_resumable_studies(tmp_path: Path) -> None:
    """Each level of a chain is a study of its own, and a restart goes on with it."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'journal.db'}")
    names = ["teacher", "teacher-1", "teacher-2"]

    def journals() -> list[StageJournal]:
        levels = plan.teacher_levels(_study())
        return [
            StageJournal(storage, "s", "teacher", Planned(trials), name)
            for trials, name in zip(levels, names, strict=True)
        ]

    asked = [journal.ask() for journal in journals()]
    assert [trial.network for _, trial in filter(None, asked)] == ["ten", "eight", "six"]
    again = journals()
    assert [journal.unfinished()[0][1].network for journal in again] == ["ten", "eight", "six"]
    assert [journal.ask() for journal in again] == [None, None, None]
    assert sorted(optuna.get_all_study_names(storage)) == [f"s.{name}" for name in names]


# ------------------------------------------------------------------------------------------------------------- training

CLASSES, IMAGES = 3, 24


def _split(count: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = random.integers(0, 180, (count, 1, 4, 4), dtype=np.uint8)
    images[np.arange(count), 0, labels] += 70
    return Split(images, labels)


@pytest.fixture(scope="module")
def images() -> DeviceImages:
    splits = (_split(IMAGES, 1), _split(30, 2), _split(30, 3))
    return DeviceImages(Dataset("small", ("a", "b", "c"), *splits, 255.0, None, mirror=True, digest="d"))


@pytest.fixture
def run(tmp_path: Path, images: DeviceImages) -> Callable[[TrialConfig, str, torch.Tensor | None], Path]:
    """Runs a trial to its end, under a name that is its folder and the key of its logits."""

    def to_the_end(trial: TrialConfig, name: str, target: torch.Tensor | None) -> Path:
        key = name if trial.stage == "teacher" else None
        job = TrialJob(0, trial, tmp_path / name, "target" if trial.teachers else None, tmp_path / "logits", key)
        one = TrialRun(job, {} if target is None else {"target": target.numpy()}, images)
        while (report := one.step()).summary is None:
            assert report.fatal is None, report.fatal
        assert report.summary.outcome == "completed", report.summary.reason
        return one.weights_file

    return to_the_end


def test_every_link_of_a_chain_learns_from_the_one_before(
    tmp_path: Path, images: DeviceImages, run: Callable[[TrialConfig, str, torch.Tensor | None], Path]
) -> None:
    train = {"epochs": 4, "batch_size": 8, "lr": 0.01, "patience": 0}
    top = {"network": "FC8-FC3", "train": train}
    assistant = {"network": "FC6-FC3", "train": train, "seed": 1, "teachers": [top], "sigma": 0.3}
    last = {"network": "FC4-FC3", "train": train, "seed": 2, "teachers": [assistant], "method": "logit_regression"}
    arm = {"method": "soft_targets", "teachers": [last]}
    config = _study(student={"network": "FC3"}, teachers=[top], arms=[arm], seeds=[0], train=train)
    store = LogitStore(tmp_path / "logits")
    by_network = {trial.network: trial for trial in [*plan.teacher_trials(config), plan.grid_trials(config)[1]]}
    assert list(by_network) == ["FC8-FC3", "FC6-FC3", "FC4-FC3", "FC3"]

    target, targets = None, []
    for network, trial in by_network.items():
        weights = run(trial, network, target)
        data = TrainingData(images.train, images.validation, (1, 4, 4), CLASSES)
        alone = DistillationTrainer(trial, data, target)
        while not alone.finished:
            alone.run_epoch()
        alone.load_best()
        written = load_file(weights)
        assert all(torch.equal(written[name], tensor) for name, tensor in alone.network.state_dict().items())
        if trial.stage == "teacher":
            logits = store.read(network, 2 * IMAGES)
            assert logits is not None
            target = combined([logits])
            targets.append(target)
    assert not torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[1], targets[2])


def test_a_network_of_torchvision_can_teach(
    tmp_path: Path, run: Callable[[TrialConfig, str, torch.Tensor | None], Path]
) -> None:
    """Its weights, statistics of batch normalisation included, and its logits come back from their files."""
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        pictures = random.integers(0, 255, (count, 3, 32, 32), dtype=np.uint8)
        return Split(pictures, np.arange(count, dtype=np.int64) % CLASSES)

    coloured = DeviceImages(Dataset("c", ("a", "b", "c"), split(12), split(6), split(6), 255.0, None, False, "c"))
    trial = _trial({"network": "torchvision:squeezenet1_1", "train": {"epochs": 1, "batch_size": 6}})
    job = TrialJob(0, trial, tmp_path / "t", None, tmp_path / "logits", "t")
    summary = TrialRun(job, {}, coloured).step().summary
    assert summary is not None
    assert summary.outcome == "completed", summary.reason
    given = trial.model_copy(update={"weights": str(tmp_path / "t" / "weights.safetensors")})
    again = TrialRun(TrialJob(1, given, tmp_path / "g", None, tmp_path / "logits", "g"), {}, coloured).step().summary
    assert again is not None
    assert again.test_error == summary.test_error
    first, second = (LogitStore(tmp_path / "logits").read(key, 12) for key in ("t", "g"))
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)
