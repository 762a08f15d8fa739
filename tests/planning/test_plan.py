"""A study file asks for exactly these trainings."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.config import MAX_SEED, MAX_TRIALS, ArmConfig, StudyConfig, TrialConfig, Uniform
from study.noise.settings import Noise
from study.planning import plan

NOISY: dict[str, Any] = {"method": "noisy_teacher", "sigma": 0.5}


def _study(**settings: Any) -> StudyConfig:
    document = {"name": "s", "data": {"name": "digits"}, "teachers": [{"network": "teacher"}], "seeds": [0, 1, 2]}
    return StudyConfig.model_validate({**document, "student": {"network": "student"}, "arms": [NOISY], **settings})


def _arm(**settings: Any) -> ArmConfig:
    return ArmConfig.model_validate({**NOISY, **settings})


def _kinds(trials: list[TrialConfig]) -> Counter[tuple[str, str]]:
    return Counter((trial.role, trial.network) for trial in trials)


def test_every_arm_and_the_baseline_run_once_per_seed() -> None:
    trials = plan.grid_trials(_study())
    assert [(trial.role, trial.method, trial.seed) for trial in trials] == [
        *(("baseline", "logit_regression", seed) for seed in (0, 1, 2)),
        *(("arm", "noisy_teacher", seed) for seed in (0, 1, 2)),
    ]
    assert {trial.stage for trial in trials} == {"grid"}


def test_a_grid_has_every_combination_over_every_seed() -> None:
    arm: dict[str, Any] = {"method": "soft_targets", "sigma": [0.1, {"uniform": [0.01, 1]}], "alpha": [0.1, 0.5, 1.0]}
    arm |= {"noise": ["fresh", "frozen"], "temperature": [2, 4], "hard_loss_weight": [0, 0.5]}
    arm |= {"train": {"lr": [0.1, 0.01], "weight_decay": [0, 1e-5, 1e-4]}}
    trials = [trial for trial in plan.grid_trials(_study(arms=[arm])) if trial.role == "arm"]
    assert len(trials) == 2 * 3 * 2 * 2 * 2 * 2 * 3 * 3 == ArmConfig.model_validate(arm).size * 3
    assert len({trial.model_dump_json() for trial in trials}) == len(trials)
    assert {repr(trial.sigma) for trial in trials} == {"0.1", repr(Uniform(uniform=(0.01, 1)))}
    assert {trial.train.weight_decay for trial in trials} == {0, 1e-5, 1e-4}


def test_each_student_of_an_arm_has_a_baseline() -> None:
    """As in Table 6: student1 to student3 over ten σ."""
    students, sigmas = ["student1", "student2", "student3"], [round(0.1 * n, 1) for n in range(1, 11)]
    arm = {**NOISY, "sigma": sigmas, "student": {"network": students}}
    trials = plan.grid_trials(_study(arms=[arm]))
    assert _kinds(trials) == {
        **{("baseline", student): 3 for student in students},
        **{("arm", student): 30 for student in students},
    }


def test_two_arms_of_one_student_share_its_baseline() -> None:
    trials = plan.grid_trials(_study(arms=[NOISY, {**NOISY, "method": "noisy_student"}]))
    assert _kinds(trials) == {("baseline", "student"): 3, ("arm", "student"): 6}


def test_a_point_that_two_arms_ask_for_runs_once() -> None:
    trials = plan.grid_trials(_study(arms=[{**NOISY, "sigma": [0.1, 0.5]}, {**NOISY, "sigma": [0.5, 0.9]}]))
    assert _kinds(trials)["arm", "student"] == 3 * 3


def test_default_alpha_depends_on_sigma() -> None:
    """An arm without alpha perturbs half of the samples, and one without sigma none."""
    noisy, soft = (
        plan.expand(_study(), ArmConfig.model_validate(arm), "grid", "arm", [0])[0]
        for arm in (NOISY, {"method": "soft_targets"})
    )
    assert (noisy.sigma, noisy.alpha, noisy.noise) == (0.5, 0.5, Noise())
    assert (soft.sigma, soft.alpha) == (0.0, 0.0)
    assert (soft.temperature, soft.hard_loss_weight) == (4.0, 0.0)


def test_arm_training_settings_override_the_study() -> None:
    """An arm's training settings override the study's one by one."""
    config = _study(train={"epochs": 7, "lr": 0.5})
    (trial,) = plan.expand(config, _arm(train={"lr": "1e-4"}), "grid", "arm", [0])
    assert (trial.train.epochs, trial.train.lr) == (7, 1e-4)


def test_a_student_of_labels_has_no_teacher() -> None:
    (trial,) = plan.expand(_study(), ArmConfig(method="labels"), "grid", "arm", [0])
    assert trial.teachers == ()


def test_every_different_teacher_is_trained_once() -> None:
    one, other, later = {"network": "nin"}, {"network": "alexnet"}, {"network": "nin", "seed": 1}
    arms = [{**NOISY, "teachers": group} for group in ([one], [other], [one, other], [later])]
    config = _study(teachers=[one], arms=arms)
    trials = plan.teacher_trials(config)
    assert [(trial.network, trial.seed) for trial in trials] == [("nin", 0), ("alexnet", 0), ("nin", 1)]
    assert {(trial.stage, trial.role, trial.method) for trial in trials} == {("teacher", "teacher", "labels")}
    groups = [[teacher.network for teacher in group] for group in plan.teacher_groups(config)]
    assert groups == [["nin"], ["alexnet"], ["nin", "alexnet"], ["nin"]]


def test_a_search_point_is_trained_once_with_the_searchs_seed() -> None:
    trial = plan.search_trial(_study(search={}), _arm())
    assert (trial.stage, trial.role, trial.seed) == ("search", "arm", 3)
    with pytest.raises(ValueError, match="one point at a time, not 2"):
        plan.search_trial(_study(search={}), _arm(sigma=[0.1, 0.2]))


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(1, 12),
)
def test_confirmation_seeds_are_unseen_by_the_search(
    seeds: list[int], search_seed: int | None, wanted: int | None
) -> None:
    """A confirmation has its number of seeds and none that the search used."""
    search = {"seed": search_seed, "confirm": {"seeds": wanted}}
    config = _study(seeds=seeds, search=search)
    confirmed = config.confirmation_seeds
    assert config.search_seed not in confirmed
    assert len(set(confirmed)) == len(confirmed) == (wanted or len(seeds))
    own = [seed for seed in seeds if seed != config.search_seed]
    assert list(confirmed[: len(own)]) == own[: len(confirmed)]


def test_confirmation_seeds_wrap_to_zero() -> None:
    """After the largest possible seed, a confirmation takes free seeds from zero on."""
    config = _study(seeds=[MAX_SEED, 0], search={"confirm": {"seeds": 4}})
    assert config.search_seed == 1
    assert config.confirmation_seeds == (MAX_SEED, 0, 2, 3)


def test_a_search_point_has_no_teachers_of_its_own() -> None:
    config = _study(search={})
    with pytest.raises(ValueError, match="`teachers` of its own"):
        plan.search_trial(config, _arm(teachers=[{"network": "another"}]))
    assert plan.search_trial(config, _arm(teachers=[{"network": "teacher"}])).teachers == config.teachers


def test_confirmation_adds_only_missing_baselines() -> None:
    """Winners are confirmed over all seeds, beside the baselines that are not there yet."""
    config = _study(search={"confirm": {"top": 2, "seeds": 5}})
    trials = plan.confirmation_trials(config, [_arm(sigma=0.37), _arm(sigma=0.41)])
    baselines = [trial for trial in trials if trial.role == "baseline"]
    assert {trial.seed for trial in baselines} == {4, 5}  # 0 to 2 ran in the grid, 3 is the search's
    assert Counter((trial.sigma, trial.seed) for trial in trials if trial.role == "arm") == {
        (sigma, seed): 1 for sigma in (0.37, 0.41) for seed in (0, 1, 2, 4, 5)
    }
    assert {trial.stage for trial in trials} == {"confirm"}


def test_a_search_without_arms_confirms_all_baselines() -> None:
    config = _study(arms=[], search={})
    assert plan.grid_trials(config) == []
    trials = plan.confirmation_trials(config, [_arm(student={"network": "smaller"})])
    assert _kinds(trials) == {("baseline", "smaller"): 3, ("arm", "smaller"): 3}


def test_winners_that_are_the_same_point_are_confirmed_once() -> None:
    config = _study(arms=[], search={})
    assert _kinds(plan.confirmation_trials(config, [_arm(), _arm()]))["arm", "student"] == 3


def test_the_largest_study_that_is_allowed_is_planned() -> None:
    sigmas = [n / 1000 for n in range(1, 201)]
    config = _study(arms=[_arm(sigma=sigmas, alpha=[0.5, 1.0])], seeds=list(range(5)))
    assert len(plan.grid_trials(config)) == 2000 + 5 < MAX_TRIALS
