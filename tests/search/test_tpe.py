"""TPE that reads ended trials once, beside Optuna's own."""

import random
from typing import Literal

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState, create_trial

from study.search.tpe import EndedTrials, tpe

Direction = Literal["minimize", "maximize"]

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SIGMA: dict[str, BaseDistribution] = {"sigma": FloatDistribution(0.0, 1.0)}
ALL = SIGMA | {"kind": CategoricalDistribution(["fresh", "frozen"]), "alpha": FloatDistribution(0.01, 1.0, log=True)}


def own(seed: int) -> TPESampler:
    return TPESampler(seed=seed, n_startup_trials=5, multivariate=True, group=True)


def add(study: optuna.Study, rng: random.Random, pruned: float, branches: float) -> None:
    """A trial that has ended: completed or pruned, with all parameters or with one."""
    space = SIGMA if rng.random() < branches else ALL
    params = {
        "sigma": round(rng.random(), 2),
        "kind": rng.choice(["fresh", "frozen"]),
        "alpha": 0.01 + rng.random() / 2,
    }
    is_pruned = rng.random() < pruned
    state = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
    values = None if is_pruned else [round(rng.random(), 2) for _ in study.directions]
    chosen = {name: params[name] for name in space}
    history = {1: rng.random()} if is_pruned else {}
    study.add_trial(
        create_trial(state=state, values=values, params=chosen, distributions=space, intermediate_values=history)
    )


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
    pruned=st.sampled_from([0.0, 0.3, 1.0]),
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


def test_so_it_does_after_a_thousand_trials() -> None:
    ours, theirs = (proposals(1000, 3, 0.2, 0.2, ["minimize"], ours=ours, seed=0) for ours in (True, False))
    assert ours == theirs


def test_what_a_search_learned_before_it_was_interrupted_changes_no_proposal() -> None:
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
