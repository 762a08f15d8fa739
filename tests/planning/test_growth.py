"""The plan of a study in rounds grows round by round, and arms that ended stay as they are."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.config import StudyConfig
from study.errors import UserError
from study.planning.check import check_study
from study.planning.extension import extended
from study.planning.growth import arm_key, first_round, grid_rounds, search_round, trials_of_round
from study.planning.plan import grid_trials

STUDY: dict[str, Any] = {
    "name": "s",
    "data": {"name": "digits"},
    "teachers": [{"network": "digits-cnn"}],
    "student": {"network": "FC10"},
    "arms": [
        {"method": "noisy_teacher", "sigma": [0.1, 0.2, 0.3]},
        {"method": "labels", "student": {"network": ["FC10", "FC8-FC10"]}},
    ],
    "seeds": {"first": 3, "at_most": 20, "until": "decided"},
}


def _study(**changes: Any) -> StudyConfig:
    return StudyConfig.model_validate({**STUDY, **changes})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=5, max_size=5))
def test_a_plan_grows_by_whole_rounds(ends: list[int]) -> None:
    """Arms end at any looks (6: never)."""
    config = _study()
    rounds, trials = grid_rounds(config), grid_trials(config)
    assert rounds is not None
    assert rounds.ends == (3, 5, 8, 12, 20)
    keys = list(dict.fromkeys(arm_key(trial) for trial in trials if trial.role == "arm"))
    look_of = dict(zip(keys, ends, strict=True))
    before: list[str] = []
    for number in range(1, 6):
        ended = {key: look for key, look in look_of.items() if look < number}
        plan = trials_of_round(number, trials, rounds, ended)
        now = list(map(repr, plan))
        assert set(before) <= set(now)
        for key in keys:
            seeds = {trial.seed for trial in plan if trial.role == "arm" and arm_key(trial) == key}
            assert seeds == set(range(rounds.ends[min(number, look_of[key]) - 1]))
        for student in ("FC10", "FC8-FC10"):
            arms = [trial for trial in plan if trial.network == student]
            most = max(trial.seed for trial in arms if trial.role == "arm")
            assert max(trial.seed for trial in arms if trial.role == "baseline") == most
        before = now


def test_the_first_round_is_what_a_study_costs_at_least() -> None:
    config = _study(search={"trials": 7, "startup_trials": 3, "confirm": {"top": 2}})
    assert first_round(config) == 3 * (5 + 2)
    assert search_round(config) == 7 + 2 * 3
    assert first_round(_study(arms=[], search={"trials": 7, "startup_trials": 3})) == 7 + 3 + 3
    assert first_round(_study(seeds=[0, 1])) == 2 * 7


def test_a_budget_below_the_first_round_is_refused() -> None:
    from study.data.dataset import DatasetFacts

    check_study(_study(budget={"trainings": 21}), DatasetFacts((1, 8, 8), 10))
    with pytest.raises(
        UserError, match=r"budget.trainings: the first round has 21 trainings, and the budget allows 20"
    ):
        check_study(_study(budget={"trainings": 20}), DatasetFacts((1, 8, 8), 10))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("seeds", {"seeds": {"first": 3, "at_most": 30, "until": "decided"}}),
        ("seeds", {"seeds": list(range(20))}),
        ("arms", {"arms": [*STUDY["arms"], {"method": "noisy_teacher", "sigma": 0.9}]}),
        ("budget.trainings", {"budget": {"trainings": 40}}),
    ],
)
def test_what_looks_count_is_not_extended(key: str, change: dict[str, Any]) -> None:
    old = _study(budget={"trainings": 50, "hours": 3})
    with pytest.raises(UserError, match=f"^study s cannot be extended: `{key}`: "):
        extended(old, _study(**{"budget": {"trainings": 50, "hours": 3}, **change}))


def test_a_budget_may_grow() -> None:
    old = _study(budget={"trainings": 50, "hours": 3})
    for budget in ({"trainings": 60, "hours": 3}, {"hours": 8}, None):
        assert extended(old, _study(budget=budget)).budget == _study(budget=budget).budget


def test_a_list_does_not_become_rounds() -> None:
    with pytest.raises(UserError, match="`seeds`: a list of seeds cannot become rounds"):
        extended(_study(seeds=[0, 1, 2]), _study())
