"""What later stages of a study would stumble over is said in one line before anything is trained."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st
from optuna.trial import BaseTrial
from support.own_process import try_here
from support.study_files import Document, small_studies

from models import zoo
from models.cost import network_cost
from search_spaces.spaces import SPACES, get_space
from study.config import ArmConfig, ArmStudent, StudyConfig, TrialConfig, parse_study
from study.data.load import describe_dataset
from study.errors import UserError
from study.planning import plan
from study.planning.check import Fits, check_study
from study.planning.proposals import proposed_arm, proposed_baseline
from study.running.sources import Searched

SHAPE, CLASSES = (1, 8, 8), 10
"""Of digits."""

LINEAR = "FC10"
"""A network without a hidden layer."""
NORMALISED = "C8(S1P0)@4B-FC10"
"""Batch normalisation over maps of 1×1: on 8×8 images, one value per channel and image."""
LARGE_MAPS = "[C3(S1P1)@4B-MP2(S2)]-FC10"


def _study(**changes: Any) -> StudyConfig:
    document = {
        "name": "s",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn"}],
        "student": {"network": "digits-fc32"},
        **changes,
    }
    return parse_study(yaml.safe_dump(document), "a test")


def _check(config: StudyConfig) -> None:
    check_study(config, describe_dataset(config.data, Path("nowhere")))


def _refused(**changes: Any) -> str:
    with pytest.raises(UserError) as refused:
        _check(_study(**changes))
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


# ------------------------------------------------------------------------------------------------- spaces of a user


def _noisy(**settings: Any) -> ArmConfig:
    return ArmConfig.model_validate({"method": "noisy_teacher", "sigma": 0.5, **settings})


def raises_for_one_of_many(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    if trial.suggest_categorical("kind", [f"kind {number}" for number in range(500)]) == "kind 412":
        raise RuntimeError("a branch that was never tried")
    return _noisy()


def takes_several_students(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    network = trial.suggest_categorical("network", ["digits-fc32", "digits-cnn", LINEAR])
    return _noisy(student=ArmStudent(network=(network,)))


def takes_a_student_for_other_images(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    network = trial.suggest_categorical("network", ["digits-fc32", "digits-cnn", "nin"])
    return _noisy(student=ArmStudent(network=(network,)))


def drops_out_at_the_high_end(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    return _noisy(dropout=trial.suggest_float("dropout", 0.0, 1.0))


def sets_the_rate_in_one_branch(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    return _noisy(train={"lr": 0.1}) if trial.suggest_categorical("own", [False, True]) else _noisy()


def changes_its_choices(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    return _noisy(alpha=trial.suggest_categorical("alpha", [0.1, 0.2 + 0.001 * trial.number]))


def is_wrong_in_the_middle(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    sigma = trial.suggest_float("sigma", 0.0, 2.0)
    return _noisy(sigma=-1 if 0.99 < sigma < 1.01 else sigma)


def _space(function: Any, **search: Any) -> dict[str, Any]:
    return {"space": f"{__name__}:{function.__name__}", **search}


def test_any_branch_that_raises_is_found() -> None:
    """A branch of a space that raises is found, whichever it is."""
    said = _refused(search=_space(raises_for_one_of_many))
    assert said.endswith("does not propose one ArmConfig (RuntimeError: a branch that was never tried)")


def test_a_space_that_is_wrong_at_one_end_of_a_range_is_refused() -> None:
    assert "does not propose one ArmConfig" in _refused(search=_space(drops_out_at_the_high_end))


def test_setting_searched_twice_in_a_branch_is_refused() -> None:
    """A space that in one branch sets what `search.train` searches too is refused."""
    said = _refused(search=_space(sets_the_rate_in_one_branch, train={"lr": [0.1, 0.2]}))
    assert "proposes `lr`, which `search.train` searches too" in said


def test_proposed_student_must_fit() -> None:
    """A space that may propose a student that does not fit the images is refused."""
    said = _refused(search=_space(takes_a_student_for_other_images))
    assert said.startswith("network nin for 1×8×8 images of digits: ")


def test_changing_choices_are_refused() -> None:
    """A space whose choices change from trial to trial is refused."""
    assert "does not support dynamic value space" in _refused(search=_space(changes_its_choices))


def test_every_point_of_a_grid_is_tried() -> None:
    grid = {"sampler": "grid", "grid_points": 3}
    assert "does not propose one ArmConfig" in _refused(search=_space(is_wrong_in_the_middle, **grid))
    _check(_study(search=_space(is_wrong_in_the_middle, sampler="grid", grid_points=2)))


def test_impossible_widths_are_found_at_range_ends() -> None:
    """Widths that no network can have are found at the ends of their ranges."""
    said = _refused(student={"network": "FC90000-FC10"}, search={"space": "student_width"})
    assert "90000 times 1.5 is wider than 100000" in said


def test_a_proposal_that_was_not_tried_before_is_one_line_too() -> None:
    """A space may go wrong where several parameters meet, which no check of its edges finds."""
    config = _study(search={})
    fits = Fits(config, describe_dataset(config.data, Path("nowhere")))
    propose = proposed_arm(config, lambda trial, study: _noisy(student={"network": "nin"}), fits)
    with pytest.raises(UserError, match="network nin for 1×8×8 images of digits"):
        propose(optuna.trial.FixedTrial({}))


# -------------------------------------------------------------------------------------------------- the baseline


def test_a_baselines_dropout_fits_the_student_of_a_search() -> None:
    baseline = {"method": "logit_regression", "dropout": 0.5}
    said = _refused(student={"network": LINEAR}, baseline=baseline, search={})
    assert said.startswith("dropout 0.5 of the baseline for the student FC10: has no hidden fully connected layer")


def test_a_baselines_dropout_fits_every_student_of_the_arms() -> None:
    arms = [{"method": "labels", "student": {"network": ["digits-fc32", LINEAR]}}]
    assert "dropout 0.5 of the baseline" in _refused(arms=arms, baseline={"method": "labels", "dropout": 0.5})


def test_baseline_dropout_must_fit_all_proposals() -> None:
    """The baseline's dropout has to fit every student that a space may propose."""
    search = _space(takes_several_students)
    assert "student FC10" in _refused(baseline={"method": "labels", "dropout": 0.5}, search=search)
    _check(_study(search=search))


def test_a_searched_baseline_may_have_teachers_of_its_own() -> None:
    baseline = {"method": "logit_regression", "search": "equal", "teachers": [{"network": "digits-fc32"}]}
    config = _study(baseline=baseline, search={"train": {"lr": {"log_uniform": [0.001, 0.1]}}})
    _check(config)
    source = Searched(config, proposed_baseline(config), lambda network: 1, CLASSES, role="baseline")
    trial = source.trial_config(optuna.trial.FixedTrial({"lr": 0.01}))
    assert trial.teachers == config.baseline.teachers
    assert trial.teachers in [teachers for teachers, _ in plan.targets(config)]


# ------------------------------------------------------------------------------------------------- batches of one

_ARM = {"method": "labels"}
_ONE = {"batch_size": 1}
_OF_LARGE_MAPS = {"teachers": [{"network": LARGE_MAPS, "train": _ONE}], "student": {"network": LARGE_MAPS}}


@pytest.mark.parametrize(
    ("changes", "whose"),
    [
        ({"student": {"network": NORMALISED}, "train": _ONE}, "baseline"),
        ({"arms": [{**_ARM, "train": {"batch_size": [64, 1]}, "student": {"network": NORMALISED}}]}, "arm"),
        ({"teachers": [{"network": NORMALISED, "train": _ONE}]}, "teacher"),
        ({"teachers": [{"network": "digits-cnn", "teachers": [{"network": NORMALISED, "train": _ONE}]}]}, "teacher"),
        ({"teachers": [{"network": NORMALISED, "train": _ONE, "teachers": [{"network": "digits-cnn"}]}]}, "teacher"),
        ({"arms": [{"method": "logit_regression", "teachers": [{"network": NORMALISED, "train": _ONE}]}]}, "teacher"),
        (
            {"arms": [], "student": {"network": NORMALISED}, "search": {"train": {"batch_size": [64, 32, 1]}}},
            "arm",
        ),
        (
            {"arms": [], "student": {"network": NORMALISED}, "search": {"train": {"batch_size": {"uniform": [1, 9]}}}},
            "arm",
        ),
        (
            {"student": {"network": NORMALISED}, "baseline": {**_ARM, "train": _ONE}, "search": {}, "arms": []},
            "baseline",
        ),
    ],
)
def test_single_value_batch_norm_needs_larger_batches(changes: dict[str, Any], whose: str) -> None:
    """Batches of one are refused where batch norm would see single values."""
    said = _refused(**{"arms": [_ARM], **changes})
    assert said.startswith(f"batch_size 1 of the {whose} for the network {NORMALISED}: its batch normalisation")


def test_batches_of_one_are_allowed_elsewhere(tmp_path: Path) -> None:
    """Batches of one go with larger maps and with networks without batch norm."""
    _check(_study(arms=[_ARM], train=_ONE))
    _check(_study(arms=[_ARM], train=_ONE, **_OF_LARGE_MAPS))
    weights = tmp_path / "weights.safetensors"
    weights.touch()
    _check(_study(arms=[_ARM], teachers=[{"network": NORMALISED, "weights": str(weights)}]))


# ------------------------------------------------------------------------------------- what is accepted can be planned

_SPACES = (
    *SPACES,
    *(f"{__name__}:{space.__name__}" for space in (takes_several_students, sets_the_rate_in_one_branch)),
)


def _multiplications(network: str) -> int:
    return network_cost(network, SHAPE, CLASSES).multiplications


def _all_trainings(config: StudyConfig, seed: int) -> list[TrialConfig]:
    """Every training of every stage, with winners that a random sampler proposes."""
    trials = plan.teacher_trials(config) + plan.grid_trials(config)
    if config.search is None:
        return trials
    fits = Fits(config, describe_dataset(config.data, Path("nowhere")))
    arms = Searched(config, proposed_arm(config, get_space(config.search.space), fits), _multiplications, CLASSES)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    asked = [optuna.create_study(sampler=sampler, directions=["minimize"] * arms.objectives) for _ in range(2)]
    proposed = [asked[0].ask() for _ in range(3)]
    trials += [arms.trial_config(trial) for trial in proposed]
    winner = None
    if config.baseline.search is not None:
        baseline = Searched(config, proposed_baseline(config), _multiplications, CLASSES, role="baseline")
        trial = asked[1].ask()
        trials.append(baseline.trial_config(trial))
        winner = baseline.arm(trial)
    return trials + plan.confirmation_trials(config, [arms.arm(trial) for trial in proposed], winner)


def _train_one_step(trial: TrialConfig) -> None:
    """The network as the trainer makes it, on as many images as a batch has, up to two."""
    network = zoo.with_dropout(trial.network, trial.dropout) if trial.dropout > 0 else trial.network
    images = torch.zeros(min(trial.train.batch_size, 2), *SHAPE)
    assert zoo.build(network, SHAPE, CLASSES).train()(images).shape == (len(images), CLASSES)


@given(small_studies(_SPACES), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_every_study_that_is_accepted_can_be_planned_to_its_end(document: Document, seed: int) -> None:
    """Every training of every stage is built without an error, whichever points the search confirms."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        config = _study(**document)
        _check(config)
    except UserError as error:
        event(f"refused: {str(error)[:60]}")
        return
    event("accepted")
    known = {(teachers, how) for teachers, how in plan.targets(config)}
    known |= {(trial.teachers, trial.combine) for trial in plan.teacher_trials(config)}
    trials = _all_trainings(config, seed)
    assert all((trial.teachers, trial.combine) in known for trial in trials if trial.teachers)
    kinds = {(trial.network, trial.dropout, trial.train.batch_size): trial for trial in trials}
    for trial in kinds.values():
        assert _multiplications(trial.network) > 0
        _train_one_step(trial)


# ------------------------------------------------------------------------------------------------ networks of a user


def test_a_network_of_the_user_that_does_not_fit_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try_here(monkeypatch)
    code = "from torch import nn\n\n\ndef Net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))\n"
    (workspace / "mine.py").write_text(code, encoding="utf-8")
    arm = {"method": "noisy_teacher", "sigma": 0.5, "student": {"network": "mine.py:Net"}}
    assert _refused(arms=[arm]) == (
        "network mine.py:Net for 1×8×8 images of digits: mine.py:Net gives (2, 9) for 2 images; expected (2, 10), the "
        "logits of 10 classes"
    )
