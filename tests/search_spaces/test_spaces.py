"""Spaces propose one point within their bounds, the same one when asked again, and every sampler can search them."""

from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import BaseTrial, FixedTrial, TrialState

from models.notation import NotationError
from search_spaces.library import recipe_text
from search_spaces.spaces import SPACES, get_space
from study.config import ArmConfig, StudyConfig, Uniform, parse_study
from study.errors import UserError
from study.planning.plan import search_trial

STARTUP = 10


def _quickstart(student: str = "digits-fc32") -> StudyConfig:
    return parse_study(recipe_text("quickstart-search"), "quickstart-search", [f"student.network='{student}'"])


def _random_study(seed: int = 0) -> optuna.Study:
    return optuna.create_study(sampler=RandomSampler(seed=seed))


@pytest.mark.parametrize("name", SPACES)
def test_a_space_proposes_one_point_and_repeats_it(name: str) -> None:
    study, config = _random_study(), _quickstart()
    for _ in range(50):
        trial = study.ask()
        arm = get_space(name)(trial, config)
        assert arm.size == 1
        assert get_space(name)(optuna.Trial(study, trial._trial_id), config) == arm


@pytest.mark.parametrize("student", ["digits-fc32", "student3", "FC10"])
@pytest.mark.parametrize("name", SPACES)
def test_a_study_can_train_what_a_space_proposes(name: str, student: str) -> None:
    config = _quickstart(student)
    for seed in range(20):
        arm = get_space(name)(_random_study(seed).ask(), config)
        trial = search_trial(config, arm)
        assert trial.method == arm.method
        assert trial.seed == config.search_seed


def test_sigma_alpha_stays_within_its_bounds() -> None:
    study, config = _random_study(), _quickstart()
    arms = [get_space("sigma_alpha")(study.ask(), config) for _ in range(200)]
    sigmas = [arm.sigma[0] for arm in arms if arm.sigma]
    alphas = [arm.alpha[0] for arm in arms if arm.alpha]
    assert all(isinstance(sigma, float) and 0.01 <= sigma <= 2 for sigma in sigmas)
    assert all(0 <= alpha <= 1 for alpha in alphas)
    assert len(set(alphas)) == 200


def _ends(arm: ArmConfig) -> tuple[float, float]:
    assert arm.sigma is not None
    sigma = arm.sigma[0]
    assert isinstance(sigma, Uniform)
    return sigma.low, sigma.high


def test_randomized_sigma_ends_are_ordered() -> None:
    """The ends of a randomized sigma are in order and within bounds."""
    study, config = _random_study(), _quickstart()
    for _ in range(500):
        low, high = _ends(get_space("randomized_sigma")(study.ask(), config))
        assert 0.01 <= low <= high <= 2


@pytest.mark.parametrize(
    ("high", "share", "ends"),
    [
        (1.0, 0.0, (0.01, 1.0)),  # as published
        (2.0, 0.5, (1.005, 2.0)),
        (2.0, 0.0, (0.01, 2.0)),
        (0.01, 0.3, (0.01, 0.01)),
        (1.7, 1.0, (1.7, 1.7)),
        (0.028, 1.0, (0.028, 0.028)),  # 0.01 + (0.028 - 0.01) > 0.028 in floating point
    ],
)
def test_the_low_end_is_a_share_of_the_high_end(high: float, share: float, ends: tuple[float, float]) -> None:
    """The low end lies at its share of the way from the least sigma to the high end."""
    trial = FixedTrial({"sigma_high": high, "sigma_low_share": share, "alpha": 0.5})
    assert _ends(get_space("randomized_sigma")(trial, _quickstart())) == pytest.approx(ends, rel=1e-12)


def test_each_noise_kind_has_its_own_parameters() -> None:
    """Each kind of noise has a method and parameters of its own."""
    study, config = _random_study(), _quickstart()
    arms: dict[str, ArmConfig] = {}
    parameters: dict[str, set[str]] = {}
    for _ in range(50):
        trial = study.ask()
        arm = get_space("noise_kind")(trial, config)
        kind = trial.params["noise_kind"]
        arms[kind], parameters[kind] = arm, {*trial.params} - {"noise_kind"}
    assert {kind: arm.method for kind, arm in arms.items()} == {
        "fixed": "noisy_teacher",
        "random": "noisy_teacher",
        "student": "noisy_student",
        "none": "logit_regression",
    }
    assert isinstance(arms["fixed"].sigma and arms["fixed"].sigma[0], float)
    assert isinstance(arms["random"].sigma and arms["random"].sigma[0], Uniform)
    assert not parameters["none"]
    assert sum(map(len, parameters.values())) == len(set.union(*parameters.values())) == 2 + 3 + 2


def test_no_noise_is_the_baseline() -> None:
    config = _quickstart()
    arm = get_space("noise_kind")(FixedTrial({"noise_kind": "none"}), config)
    assert search_trial(config, arm) == search_trial(config, config.baseline)


def test_every_hidden_width_is_searched() -> None:
    """The width of every hidden layer of the student is searched."""
    config = _quickstart("student3")
    widths = {"width_conv1": 0.5, "width_conv2": 0.25, "width_conv3": 1.0, "width_fc1": 1.5}
    arm = get_space("student_width")(FixedTrial({**widths, "sigma": 0.3, "alpha": 0.5}), config)
    line = "[C5(S1P2)@8-MP2(S2)]-[C5(S1P2)@8-MP2(S2)]-[C3(S1P1)@64-MP2(S2)]-FC1536-FC10"
    assert search_trial(config, arm).network == line
    assert (arm.sigma, arm.alpha) == ((0.3,), (0.5,))


def test_a_student_of_unchanged_widths_keeps_its_name() -> None:
    arm = get_space("student_width")(FixedTrial({"width_fc1": 1.0, "sigma": 0.3, "alpha": 0.5}), _quickstart())
    assert arm.student is not None
    assert arm.student.network == ("digits-fc32",)


def test_a_student_without_a_line_has_no_width_to_search() -> None:
    with pytest.raises(NotationError, match=r"^network 'resnet8' has no line of notation[^\n]*$"):
        get_space("student_width")(_random_study().ask(), _quickstart("resnet8"))


SAMPLERS: dict[str, Callable[[], BaseSampler]] = {
    "random": lambda: RandomSampler(seed=0),
    "tpe": lambda: TPESampler(seed=0, n_startup_trials=STARTUP),
    "gp": lambda: GPSampler(seed=0, n_startup_trials=STARTUP, warn_independent_sampling=False),
    "cmaes": lambda: CmaEsSampler(seed=0, n_startup_trials=STARTUP, warn_independent_sampling=False),
    "qmc": lambda: QMCSampler(seed=0, scramble=True, warn_independent_sampling=False),
}


def _searched(name: str, sampler: BaseSampler, objectives: int = 1) -> optuna.Study:
    """A search of 15 trials for a middling σ, or for a middling σ and few multiplications."""
    config = _quickstart("student3")
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    for _ in range(15):
        trial = study.ask()
        arm = get_space(name)(trial, config)
        assert search_trial(config, arm).stage == "search"
        numbers = [value for value in trial.params.values() if isinstance(value, float)]
        study.tell(trial, [sum((value - 0.6) ** 2 for value in numbers), sum(numbers)][:objectives])
    return study


def _modelled(study: optuna.Study) -> set[str]:
    """The parameters that a sampler proposes together, from what it has learnt."""
    trial = study.ask()
    return {*study.sampler.infer_relative_search_space(study, study.get_trials()[trial.number])}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SPACES)
def test_every_sampler_searches_every_space(name: str, sampler: str) -> None:
    study = _searched(name, SAMPLERS[sampler]())
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE] * 15
    if name != "noise_kind" and sampler != "random":
        # CMA-ES models numbers alone, and draws choices at random.
        choices = {"reading", "noise_schedule"} if sampler == "cmaes" else set()
        assert _modelled(study) == {*study.get_trials()[0].params} - choices


@pytest.mark.parametrize(
    ("sampler", "modelled"),
    [("tpe", {"noise_kind"}), ("gp", {"noise_kind"}), ("cmaes", set()), ("random", set())],
)
def test_samplers_model_at_most_the_noise_kind(sampler: str, modelled: set[str]) -> None:
    """Where each kind has parameters of its own, samplers model no parameter but the kind."""
    assert _modelled(_searched("noise_kind", SAMPLERS[sampler]())) == modelled


def test_qmc_takes_the_first_trial_for_the_whole_space() -> None:
    study = _searched("noise_kind", SAMPLERS["qmc"]())
    assert _modelled(study) == {*study.get_trials()[0].params} < {key for t in study.get_trials() for key in t.params}


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "cmaes"])
def test_widths_are_searched_for_two_objectives(sampler: str) -> None:
    study = _searched("student_width", SAMPLERS[sampler](), objectives=2)
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE] * 15
    assert study.best_trials


def test_cma_es_has_one_objective_only() -> None:
    with pytest.raises(ValueError, match="multi-objective"):
        _searched("student_width", SAMPLERS["cmaes"](), objectives=2)


def my_space(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    return ArmConfig(method="noisy_student", sigma=(trial.suggest_float("sigma", 0, study.train.lr),))


def test_a_user_s_own_space_is_found_by_module_and_function() -> None:
    arm = get_space(f"{__name__}:my_space")(_random_study().ask(), _quickstart())
    assert arm.method == "noisy_student"


@pytest.mark.parametrize("name", ["sigma_alfa", "no.such.module:space", "study.config:absent", "study.config:MAX_SEED"])
def test_a_space_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=r"^search\.space: [^\n]*$"):
        get_space(name)
