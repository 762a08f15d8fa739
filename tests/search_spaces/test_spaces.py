"""Spaces propose one point within their bounds, the same one when asked again for the same trial."""

import optuna
import pytest

from search_spaces.spaces import SPACES, get_space
from study.config import ArmConfig
from study.errors import UserError


@pytest.mark.parametrize("name", SPACES)
def test_a_space_proposes_one_point_and_repeats_it(name: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask()
        arm = get_space(name)(trial)
        assert arm.size == 1
        assert get_space(name)(optuna.Trial(study, trial._trial_id)) == arm


def test_sigma_alpha_stays_within_its_bounds() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    arms = [get_space("sigma_alpha")(study.ask()) for _ in range(200)]
    sigmas = [arm.sigma[0] for arm in arms if arm.sigma]
    alphas = [arm.alpha[0] for arm in arms if arm.alpha]
    assert all(isinstance(sigma, float) and 0.01 <= sigma <= 2 for sigma in sigmas)
    assert all(0 <= alpha <= 1 for alpha in alphas)
    assert len(set(alphas)) == 200


def my_space(trial: optuna.Trial) -> ArmConfig:
    return ArmConfig(method="noisy_student", sigma=(trial.suggest_float("sigma", 0, 1),))


def test_a_user_s_own_space_is_found_by_module_and_function() -> None:
    assert get_space(f"{__name__}:my_space")(optuna.create_study().ask()).method == "noisy_student"


@pytest.mark.parametrize("name", ["sigma_alfa", "no.such.module:space", "study.config:absent", "study.config:MAX_SEED"])
def test_a_space_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=r"^search\.space: [^\n]*$"):
        get_space(name)
