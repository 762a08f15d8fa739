"""Every sampler, over every storage: each trial once, and a resume proposes what an undisturbed search would."""

import json
from collections.abc import Callable

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import BaseTrial
from support.reopened import Reopened
from support.study_files import search_with_effect

from search_spaces.spaces import noise_kind, sigma_alpha
from study.config import MAX_SEED, ArmConfig, Sampler, StudyConfig, TrialConfig, parse_study
from study.errors import UserError
from study.planning.plan import search_trial
from study.planning.proposals import proposed_arm, proposed_baseline
from study.records import TrainingSummary, TrialReport
from study.running.journal import StageJournal
from study.running.sources import Searched

FILE = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
train: {lr: 0.01}
"""
SAMPLERS: tuple[Sampler, ...] = ("grid", "random", "qmc", "tpe", "gp", "cmaes")


def config(sampler: Sampler = "random", **search: object) -> StudyConfig:
    keys = {"sampler": sampler, "trials": 9, "grid_points": 3, "startup_trials": 3, **search}
    return parse_study(FILE, "test", [f"search={json.dumps(search_with_effect(keys))}"])


def searched(study: StudyConfig, arm: Callable[[BaseTrial], ArmConfig] | None = None) -> Searched:
    return Searched(study, arm or proposed_arm(study, sigma_alpha), multiplications=len, classes=10)


def completed(number: int, trial: TrialConfig) -> TrialReport:
    error = abs(float(str(trial.sigma)) - 0.7) / 4 + abs(trial.alpha - 0.3) / 4
    summary = TrainingSummary(outcome="completed", epochs=1, best_val_error=error, train_seconds=1.0)
    return TrialReport(number=number, summary=summary)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_resumes_and_keeps_its_number(storage: Reopened, sampler: Sampler) -> None:
    """Every sampler asks for its number of trials and takes up those that were running."""
    source = searched(config(sampler))
    journal = StageJournal(storage(), "s", "search", source)
    first = [asked for _ in range(4) if (asked := journal.ask()) is not None]
    for asked in first[:3]:
        journal.tell(completed(*asked))
    again = StageJournal(storage(), "s", "search", source)
    assert again.unfinished() == first[3:]
    rest = []
    while (one := again.ask()) is not None:
        rest.append(one)
    assert len(first) + len(rest) == source.total == 9
    assert len({repr(trial) for _, trial in [*first, *rest]}) == 9


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_search_proposes_what_an_undisturbed_one_would(storage: Reopened, sampler: Sampler) -> None:
    source = searched(config(sampler, trials=7))

    def propose(name: str, restarts: bool) -> list[TrialConfig]:
        journal = StageJournal(storage(), name, "search", source)
        proposed = []
        while (asked := journal.ask()) is not None:
            proposed.append(asked[1])
            journal.tell(completed(*asked))
            if restarts:
                journal = StageJournal(storage(), name, "search", source)
        return proposed

    undisturbed = propose("undisturbed", restarts=False)
    assert propose("restarted", restarts=True) == undisturbed


def test_tpe_matches_optuna_on_conditional_spaces() -> None:
    """TPE proposes what Optuna's own does where trials have different parameters."""
    study = config("tpe", trials=40, space="noise_kind")
    theirs = optuna.create_study()
    for number, trial in enumerate(_proposals(searched(study, proposed_arm(study, noise_kind)))):
        with pytest.warns(ExperimentalWarning):
            theirs.sampler = TPESampler(
                seed=(study.search_seed * 1_000_003 + number) % MAX_SEED,
                n_startup_trials=3,
                multivariate=True,
                group=True,
            )
        asked = theirs.ask()
        own = search_trial(study, noise_kind(asked, study))
        assert own == trial
        theirs.tell(asked, _error(own))


def test_space_grid_has_every_combination(storage: Reopened) -> None:
    """The grid of a space is every combination of evenly spaced values."""
    source = searched(config("grid"))
    journal = StageJournal(storage(), "s", "search", source)
    points = []
    while (asked := journal.ask()) is not None:
        points.append((asked[1].sigma, asked[1].alpha))
    assert sorted({alpha for _, alpha in points}) == [0.0, 0.5, 1.0]
    assert len({sigma for sigma, _ in points}) == 3
    assert len(set(points)) == 9


TRAINING = {"lr": {"log_uniform": [0.0001, 0.01]}, "epochs": {"uniform": [2, 5]}, "schedule": ["constant", "cosine"]}


def test_searched_training_settings_join_the_space() -> None:
    """Searched training settings come beside the settings of the space."""
    study = config("random", train=TRAINING)
    proposals = _proposals(searched(study))
    assert all(0.0001 <= trial.train.lr <= 0.01 and trial.train.epochs in (2, 3, 4, 5) for trial in proposals)
    assert {trial.train.schedule for trial in proposals} == {"constant", "cosine"}
    assert len({trial.sigma for trial in proposals}) == len({trial.train.lr for trial in proposals}) == 9


def test_baseline_search_matches_the_arms_budget() -> None:
    """The baseline's own search has the budget and the settings of the arms and no noise."""
    study = config("random", train=TRAINING)
    source = Searched(study, proposed_baseline(study), multiplications=len, classes=10, role="baseline")
    proposals = _proposals(source)
    assert source.total == searched(study).total
    assert all((trial.role, trial.method, trial.alpha) == ("baseline", "logit_regression", 0.0) for trial in proposals)
    assert len({trial.train.lr for trial in proposals}) == 9
    assert not any(trial.sees_test_set for trial in proposals)


def test_setting_searched_twice_is_refused() -> None:
    """A space that proposes a setting that is searched already is refused."""

    def space(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
        return ArmConfig(method="labels", train={"lr": (0.1,)})

    study = config("random", train=TRAINING)
    with pytest.raises(UserError, match="which `search\\.train` searches too"):
        _proposals(searched(study, proposed_arm(study, space)))


def _proposals(source: Searched) -> list[TrialConfig]:
    from optuna.storages import InMemoryStorage

    journal = StageJournal(InMemoryStorage(), "s", "search", source)
    proposals = []
    while (asked := journal.ask()) is not None:
        proposals.append(asked[1])
        summary = TrainingSummary(outcome="completed", epochs=1, best_val_error=_error(asked[1]), train_seconds=1.0)
        journal.tell(TrialReport(number=asked[0], summary=summary))
    return proposals


def _error(trial: TrialConfig) -> float:
    sigma = trial.sigma if isinstance(trial.sigma, float) else 0.5
    return float(abs(sigma - 0.7) / 4 + abs(trial.alpha - 0.3) / 4)
