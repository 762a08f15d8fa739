"""A study may grow, and only grow: what an extension accepts, refuses, and plans."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.study_files import changed, studies

from study.config import StudyConfig, TrialConfig
from study.errors import UserError
from study.planning import plan
from study.planning.extension import changes, extended

QUICK = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
Document = dict[str, Any]
NOISY: Document = {"method": "noisy_teacher", "sigma": [0.2, 0.5]}
SMALL: Document = {
    "name": "small",
    "data": {"name": "digits"},
    "teachers": [{"network": "teacher"}],
    "student": {"network": "student"},
    "arms": [NOISY],
    "seeds": [0, 1],
    "search": {"trials": 8},
}


def _study(**settings: Any) -> StudyConfig:
    return StudyConfig.model_validate({**SMALL, **settings})


def _grid(config: StudyConfig) -> set[str]:
    return {repr(trial) for trial in plan.grid_trials(config)}


@st.composite
def growing(draw: st.DrawFn, steps: int = 2) -> list[StudyConfig]:
    """A study, and the same study after each of some extensions."""
    document = draw(studies.filter(lambda study: sum(arm.size for arm in StudyConfig.model_validate(study).arms) < 50))
    grown = [document]
    for _ in range(steps):
        document = deepcopy(document)
        more = draw(st.lists(st.integers(0, 50), max_size=2))
        document["seeds"] = list(dict.fromkeys([*document.get("seeds", [0, 1, 2]), *more]))
        if draw(st.booleans()):
            document["arms"] = [*document["arms"], {"method": "noisy_teacher", "sigma": draw(st.floats(0.1, 9))}]
        if (search := document.get("search")) is not None:
            if search.get("sampler") != "grid":
                search["trials"] = search.get("trials", 60) + draw(st.integers(0, 3))
            confirm = search.setdefault("confirm", {})
            confirm["top"] = confirm.get("top", 1) + draw(st.integers(0, 2))
            if "seeds" in confirm:
                confirm["seeds"] = max(confirm["seeds"], 1) + draw(st.integers(0, 3))
        grown.append(document)
    return [StudyConfig.model_validate(each) for each in grown]


@QUICK
@given(growing())
def test_an_extended_grid_is_that_of_the_final_study(configs: list[StudyConfig]) -> None:
    now = configs[0]
    for larger in configs[1:]:
        before = now
        now = extended(before, larger)
        assert _grid(before) <= _grid(now) == _grid(larger)


@QUICK
@given(growing())
def test_seeds_of_search_and_confirmation_never_move(configs: list[StudyConfig]) -> None:
    now = configs[0]
    for larger in configs[1:]:
        before = now
        now = extended(before, larger)
        confirmed = now.confirmation_seeds
        assert confirmed[: len(before.confirmation_seeds)] == before.confirmation_seeds
        assert len(set(confirmed)) == len(confirmed)
        if now.search is not None:
            assert now.search_seed == configs[0].search_seed not in confirmed
            asked = now.search.confirm.seeds or len(now.seed_list)
            assert isinstance(asked, int)
            assert len(confirmed) >= asked


@QUICK
@given(studies)
def test_the_same_file_again_changes_nothing(document: Document) -> None:
    config = StudyConfig.model_validate(document)
    again = extended(config, config)
    assert changes(config, again) == ()
    assert again.fixed_seeds == config.fixed_seeds
    assert plan.grid_trials(again) == plan.grid_trials(config)


@QUICK
@given(st.data())
def test_what_is_accepted_keeps_every_training(data: st.DataObject) -> None:
    """Any change of the file is refused in one line, or everything that ran belongs to the new plan."""
    document = data.draw(studies)
    other = {**document, **data.draw(st.one_of(changed(), studies))}
    other |= {key: document[key] for key in document if data.draw(st.booleans(), label=f"{key} stays")}
    try:
        old, new = StudyConfig.model_validate(document), StudyConfig.model_validate(other)
    except ValueError:
        return
    after, refused = None, ""
    try:
        after = extended(old, new)
    except UserError as error:
        refused = str(error)
    assert "\n" not in refused
    if after is None:
        return
    assert _grid(old) <= _grid(after)
    assert set(map(repr, plan.teacher_trials(old))) <= set(map(repr, plan.teacher_trials(after)))
    assert after.search is None or after.search_seed == old.search_seed


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("seeds", {"seeds": [0, 2, 3]}),
        ("arms.0", {"arms": [{**NOISY, "sigma": [0.2, 0.7]}]}),
        ("arms.0", {"arms": [{**NOISY, "alpha": 0.7}]}),
        ("search.trials", {"search": {"trials": 7}}),
        ("search.confirm.seeds", {"search": {"trials": 8, "confirm": {"seeds": 1}}}),
        ("search.seed", {"search": {"trials": 8, "seed": 17}}),
        ("search.sampler", {"search": {"trials": 8, "sampler": "random"}}),
        ("search", {"search": None}),
        ("train.epochs", {"train": {"epochs": 61}}),
        ("student.network", {"student": {"network": "another"}}),
        ("teachers", {"teachers": [{"network": "teacher"}, {"network": "second"}]}),
        ("data.fraction", {"data": {"name": "digits", "fraction": 0.5}}),
        ("smallest_effect", {"smallest_effect": 5}),
        ("resources.workers", {"resources": {"workers": 3}}),
    ],
)
def test_what_may_not_change_is_named(key: str, change: Document) -> None:
    with pytest.raises(UserError, match=rf"^study small cannot be extended: `{key}`: [^\n]+$"):
        extended(_study(), _study(**change))


def test_an_arm_may_grow_inside_its_lists() -> None:
    old, new = _study(), _study(arms=[{**NOISY, "sigma": [0.1, 0.2, 0.5]}, {"method": "labels"}])
    after = extended(old, new)
    assert _grid(after) == _grid(new) > _grid(old)
    assert [(change.key, change.before, change.after) for change in changes(old, after)] == [
        ("arms", "2 points", "4 points")
    ]


def test_an_added_seed_may_be_the_searchs_and_confirms_not() -> None:
    """The seed of the search is 2. The grid may use it; the confirmation takes another one."""
    old = _study()
    after = extended(old, _study(seeds=[0, 1, 2, 3]))
    assert (old.search_seed, old.confirmation_seeds) == (2, (0, 1))
    assert (after.search_seed, after.confirmation_seeds) == (2, (0, 1, 3, 4))
    assert {trial.seed for trial in plan.grid_trials(after)} == {0, 1, 2, 3}


def test_a_searched_baseline_gets_no_smaller_budget() -> None:
    fair: Document = {"arms": [], "baseline": {"method": "logit_regression", "search": "equal"}}
    search = {"train": {"lr": [0.1, 0.01]}}
    old, new = (_study(**fair, search={**search, "trials": trials}) for trials in (8, 20))
    with pytest.raises(UserError, match=r"`search\.trials`: the baseline was searched with as many trials"):
        extended(old, new)


def test_a_confirmed_baseline_is_not_trained_again() -> None:
    """A study without arms confirms its baselines. Arms that are added later are compared with these."""
    old = _study(arms=[])
    winner = StudyConfig.model_validate(SMALL).arms[0].model_copy(update={"sigma": (0.3,)})
    confirmed = {repr(trial) for trial in plan.confirmation_trials(old, [winner])}
    after = extended(old, _study(seeds=[0, 1, 5]))

    def elsewhere(trial: TrialConfig) -> bool:
        return repr(trial.model_copy(update={"stage": "confirm"})) in confirmed

    grid = plan.grid_trials(after, elsewhere)
    assert {trial.seed for trial in grid if trial.role == "baseline"} == {5}
    assert {trial.seed for trial in grid if trial.role == "arm"} == {0, 1, 5}
    in_grid = {(trial.role, trial.seed) for trial in grid}
    now = plan.confirmation_trials(after, [winner], in_grid=lambda trial: (trial.role, trial.seed) in in_grid)
    assert confirmed <= set(map(repr, now))
