"""TPE that reads ended trials once, beside Optuna's own."""

import json
import math
import random
from typing import Any, Literal

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from support.simulated import Course, run

from search_spaces.spaces import noise_kind, student_width
from study.adapters.optuna_tpe import EndedTrials, tpe
from study.config import TrialConfig, parse_study
from study.planning.proposals import proposed_arm
from study.running import samplers
from study.running.journal import StageJournal
from study.running.sources import Searched

Direction = Literal["minimize", "maximize"]

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SIGMA: dict[str, BaseDistribution] = {"sigma": FloatDistribution(0.0, 1.0)}
ALL = SIGMA | {"kind": CategoricalDistribution(["fresh", "frozen"]), "alpha": FloatDistribution(0.01, 1.0, log=True)}


def own(seed: int) -> TPESampler:
    return TPESampler(seed=seed, n_startup_trials=5, multivariate=True, group=True)


def add(study: optuna.Study, rng: random.Random, pruned: float, branches: float) -> None:
    """A trial that has ended: completed or pruned, with all parameters or with one.

    It is told to Optuna, and not made as an ended one: Optuna gives a pruned trial its last epoch as a value. A pruned
    trial has several epochs or none, and the last of them may be no number.
    """
    space = SIGMA if rng.random() < branches else ALL
    params = {
        "sigma": round(rng.random(), 2),
        "kind": rng.choice(["fresh", "frozen"]),
        "alpha": 0.01 + rng.random() / 2,
    }
    is_pruned = rng.random() < pruned
    history = {step: round(rng.random(), 2) for step in range(1, rng.choice([0, 1, 2, 4, 9]) + 1)} if is_pruned else {}
    if history and rng.random() < 0.2:
        history[max(history)] = math.nan
    running = create_trial(
        state=TrialState.RUNNING,
        params={name: params[name] for name in space},
        distributions=space,
        intermediate_values=history,
    )
    study.add_trial(running)
    number = len(study.get_trials(deepcopy=False)) - 1
    if is_pruned:
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, [round(rng.random(), 2) for _ in study.directions])


def proposals(
    ended: int, running: int, pruned: float, branches: float, directions: list[Direction], ours: bool, seed: int
) -> list[dict[str, object]]:
    """What is proposed while trials end and others run, of two that are alike but for the sampler."""
    rng = random.Random(seed)
    study = optuna.create_study(directions=directions)
    for _ in range(ended):
        add(study, rng, pruned, branches)
    known, proposed = EndedTrials(), []
    for asked in range(running):
        sampler: BaseSampler = tpe(asked, 5, known) if ours else own(asked)
        study.sampler = sampler
        proposed.append(study.ask(ALL).params)
        add(study, rng, pruned, branches)  # ends while that one runs
    return proposed


@settings(max_examples=25, deadline=None)
@given(
    ended=st.integers(0, 120),
    running=st.integers(1, 5),
    pruned=st.sampled_from([0.0, 0.3, 0.8, 0.97, 1.0]),
    branches=st.sampled_from([0.0, 0.4]),
    directions=st.sampled_from([["minimize"], ["maximize"], ["minimize", "minimize"]]),
    seed=st.integers(0, 1000),
)
def test_it_proposes_what_optuna_s_own_does(
    ended: int, running: int, pruned: float, branches: float, directions: list[Direction], seed: int
) -> None:
    if len(directions) > 1:
        pruned = 0.0  # Optuna prunes for one objective only
    ours = proposals(ended, running, pruned, branches, directions, ours=True, seed=seed)
    assert ours == proposals(ended, running, pruned, branches, directions, ours=False, seed=seed)


# What the journal asks for while trainings go on, under every scheduler.
FILE = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
"""
TWO = {"space": "student_width", "objectives": ["val_error", "multiplications"]}


def course(trial: TrialConfig) -> Course:
    """Nine epochs towards an error that depends on the settings; some trainings diverge."""
    sigma = trial.sigma if isinstance(trial.sigma, float) else 0.5
    final = 0.1 + 0.1 * abs(sigma - 0.7) + 0.1 * abs(trial.alpha - 0.3) + 0.01 * (trial.method == "noisy_student")
    errors = [final + 0.5 * math.exp(-(0.3 + trial.alpha) * epoch) for epoch in range(1, 10)]
    return Course(errors[:1], "diverged") if sigma > 1.3 else Course(errors)


def trials_of(workers: int, search: dict[str, object]) -> list[tuple[int, TrialConfig, str]]:
    keys = {"sampler": "tpe", "trials": 40, "space": "noise_kind", **search}
    study = parse_study(FILE, "test", [f"search={json.dumps(keys)}"])
    space = student_width if "objectives" in search else noise_kind
    source = Searched(study, proposed_arm(study, space), multiplications=len, classes=10)
    ended = run(StageJournal(InMemoryStorage(), "s", "search", source), course, workers)
    return [(each.number, each.trial, each.outcome) for each in ended]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    ("search", "stopped"),
    [
        ({"scheduler": "fifo"}, 0),
        ({"scheduler": "median"}, 5),
        ({"scheduler": "asha", "reduction_factor": 3}, 15),
        ({"scheduler": "asha", "reduction_factor": 8}, 15),
        (TWO, 0),
    ],
    ids=["fifo", "median", "asha", "asha that stops nearly all", "two objectives"],
)
def test_a_search_asks_for_what_it_would_with_optuna_s_own(
    search: dict[str, Any], stopped: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = trials_of(workers, search)
    assert len(ours) == 40
    assert sum(outcome == "pruned" for _, _, outcome in ours) >= stopped
    assert any(outcome == "diverged" for _, _, outcome in ours)

    def plain(seed: int, startup_trials: int, ended: EndedTrials) -> TPESampler:
        return TPESampler(seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True)

    monkeypatch.setattr(samplers, "tpe", plain)
    assert ours == trials_of(workers, search)


def test_so_it_does_after_a_thousand_trials() -> None:
    ours, theirs = (proposals(1000, 3, 0.2, 0.2, ["minimize"], ours=ours, seed=0) for ours in (True, False))
    assert ours == theirs


def test_an_interruption_changes_no_proposal() -> None:
    """The trials that ended are read in the order of their ends, and after a resume in that of their numbers."""
    study = optuna.create_study()
    rng = random.Random(0)
    for _ in range(40):
        add(study, rng, pruned=0.2, branches=0.5)
    trials = study.get_trials(deepcopy=False)
    known = EndedTrials()
    known.rows(trials[::-1])
    study.sampler = tpe(0, 5, known)
    first = study.ask(ALL).params
    other = optuna.create_study()
    other.add_trials(trials)
    other.sampler = tpe(0, 5, EndedTrials())
    assert other.ask(ALL).params == first
