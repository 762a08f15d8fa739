"""Grids over define-by-run spaces: every point once, nothing beyond, and each as Optuna gives it back."""

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import BaseTrial, FixedTrial

from search_spaces.grid import MAX_EDGE_POINTS, edge_points, grid_points
from search_spaces.library import recipe_text
from search_spaces.spaces import SPACES
from study.config import MAX_TRIALS, ArmConfig, StudyConfig, parse_study
from study.errors import UserError
from study.noise.settings import READINGS


@dataclass(frozen=True)
class Parameter:
    """One suggestion, and how many values a grid of `points` has for it."""

    suggest: Callable[[BaseTrial, str], Any]
    low: Any
    high: Any
    available: float

    def size(self, points: int) -> int:
        return int(min(points, self.available))


@st.composite
def _float(draw: st.DrawFn) -> Parameter:
    low = draw(st.floats(-100, 100))
    high = low + draw(st.floats(0.001, 100))
    return Parameter(lambda trial, name: trial.suggest_float(name, low, high), low, high, math.inf)


@st.composite
def _log_float(draw: st.DrawFn) -> Parameter:
    low = draw(st.floats(1e-6, 1))
    high = low * draw(st.floats(1.01, 1e6))
    return Parameter(lambda trial, name: trial.suggest_float(name, low, high, log=True), low, high, math.inf)


@st.composite
def _stepped_float(draw: st.DrawFn) -> Parameter:
    step = draw(st.sampled_from([0.05, 0.1, 0.25, 0.3, 1.0, 2.5]))
    low, steps = draw(st.integers(-40, 40)) / 8, draw(st.integers(0, 50))
    high = round(low + steps * step, 6)
    return Parameter(lambda trial, name: trial.suggest_float(name, low, high, step=step), low, high, steps + 1)


@st.composite
def _integer(draw: st.DrawFn) -> Parameter:
    step, steps = draw(st.integers(1, 5)), draw(st.integers(0, 1000))
    low = draw(st.integers(-1000, 1000))
    high = low + step * steps
    return Parameter(lambda trial, name: trial.suggest_int(name, low, high, step=step), low, high, steps + 1)


_number = st.one_of(_float(), _log_float(), _stepped_float(), _integer())


@st.composite
def _categorical(draw: st.DrawFn) -> Parameter:
    choices = draw(st.lists(st.sampled_from(["a", "b", None, 2, 0.5, False]), min_size=1, max_size=4, unique=True))
    return Parameter(lambda trial, name: trial.suggest_categorical(name, choices), choices[0], choices[-1], math.inf)


@dataclass(frozen=True)
class Branch:
    """A choice, and what else is asked for after each of its answers."""

    children: "list[Branch]" = field(default_factory=list)

    def run(self, trial: BaseTrial, name: str = "0") -> None:
        if self.children:
            chosen = trial.suggest_categorical(name, range(len(self.children)))
            self.children[chosen].run(trial, f"{name}.{chosen}")

    def points(self, name: str = "0") -> list[dict[str, int]]:
        if not self.children:
            return [{}]
        return [
            {name: chosen, **point}
            for chosen, child in enumerate(self.children)
            for point in child.points(f"{name}.{chosen}")
        ]


_branch = st.recursive(st.builds(Branch), lambda children: st.builds(Branch, st.lists(children, max_size=4)))


def _all_of(parameters: list[Parameter]) -> Callable[[BaseTrial], None]:
    def space(trial: BaseTrial) -> None:
        for place, parameter in enumerate(parameters):
            parameter.suggest(trial, f"x{place}")

    return space


def _quickstart(student: str = "digits-fc32") -> StudyConfig:
    return parse_study(recipe_text("quickstart-search"), "quickstart-search", [f"student.network='{student}'"])


def _space(name: str, config: StudyConfig) -> Callable[[BaseTrial], ArmConfig]:
    return lambda trial: SPACES[name](trial, config)


@settings(deadline=None)
@given(st.lists(st.one_of(_number, _categorical()), max_size=3), st.integers(1, 6))
def test_every_point_is_different_and_one_that_optuna_accepts(parameters: list[Parameter], points: int) -> None:
    space = _all_of(parameters)
    grid = grid_points(space, points)
    assert len({tuple(map(repr, point.values())) for point in grid}) == len(grid)
    for point in grid:
        accepted = FixedTrial(point)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # which is how Optuna speaks of a value out of its range
            space(accepted)
        assert accepted.params == point


@settings(deadline=None)
@given(st.lists(_number, max_size=3), st.integers(1, 6))
def test_independent_parameters_multiply(parameters: list[Parameter], points: int) -> None:
    assert len(grid_points(_all_of(parameters), points)) == math.prod(each.size(points) for each in parameters)


@settings(deadline=None)
@given(_number, st.integers(2, 50))
def test_both_ends_are_in_the_grid_and_values_rise(parameter: Parameter, points: int) -> None:
    values = [point["x0"] for point in grid_points(_all_of([parameter]), points)]
    assert (values[0], values[-1]) == (parameter.low, parameter.high)
    assert values == sorted(values)


@settings(deadline=None)
@given(st.floats(1e-6, 10), st.integers(0, 6), st.booleans())
def test_a_range_of_a_few_floats_is_not_left(low: float, others: int, log: bool) -> None:
    high = low
    for _ in range(others):
        high = math.nextafter(high, math.inf)
    values = [point["x"] for point in grid_points(lambda trial: trial.suggest_float("x", low, high, log=log), 5)]
    assert (min(values), max(values)) == (low, high)
    assert len(set(values)) == len(values) <= others + 1


@settings(deadline=None)
@given(_branch)
def test_children_stay_in_their_branch_depth_first(branch: Branch) -> None:
    """Child parameters are in the grid where their branch is taken, depth first."""
    assert grid_points(branch.run, 3) == branch.points()


def test_values_are_evenly_spaced_in_what_they_are_drawn_in() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_float("alpha", 0, 1)

    assert [point["alpha"] for point in grid_points(space, 11)] == [tenth / 10 for tenth in range(11)]

    def logarithmic(trial: BaseTrial) -> None:
        trial.suggest_float("lr", 1e-4, 1e-2, log=True)

    assert [point["lr"] for point in grid_points(logarithmic, 3)] == [1e-4, 1e-3, 1e-2]

    def stepped(trial: BaseTrial) -> None:
        trial.suggest_float("width", 0.1, 0.9, step=0.1)

    assert [point["width"] for point in grid_points(stepped, 5)] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert [point["width"] for point in grid_points(stepped, 99)] == [ninth / 10 for ninth in range(1, 10)]

    def whole(trial: BaseTrial) -> None:
        trial.suggest_int("n", 1, 1000, log=True)

    assert [point["n"] for point in grid_points(whole, 4)] == [1, 10, 100, 1000]


def test_one_value_is_the_middle() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_float("alpha", 0, 1)
        trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        trial.suggest_int("n", 1, 9, step=2)
        trial.suggest_categorical("kind", ["a", "b"])

    common = {"alpha": 0.5, "lr": 1e-3, "n": 5}
    assert grid_points(space, 1) == [{**common, "kind": "a"}, {**common, "kind": "b"}]


def test_few_integers_are_all_taken() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_int("n", 1, 5, log=True)

    assert [point["n"] for point in grid_points(space, 5)] == [1, 2, 3, 4, 5]


def test_very_large_integers_are_possible() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_int("n", -(10**15), 10**15)

    assert [point["n"] for point in grid_points(space, 3)] == [-(10**15), 0, 10**15]


def test_a_parameter_asked_for_twice_is_one() -> None:
    def space(trial: BaseTrial) -> None:
        assert trial.suggest_float("x", 0, 1) == trial.suggest_float("x", 0, 1)

    assert len(grid_points(space, 4)) == 4


def test_choices_that_are_equal_for_optuna_are_one() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_categorical("x", [1, "1", True, 1.0])

    assert grid_points(space, 2) == [{"x": 1}, {"x": "1"}]


def test_a_space_without_parameters_has_one_point() -> None:
    assert grid_points(lambda trial: None, 5) == [{}]


def test_ranges_may_depend_on_what_came_before() -> None:
    def space(trial: BaseTrial) -> None:
        low = trial.suggest_float("low", 0, 1)
        trial.suggest_float("high", low, 1)

    # At low = 1 a single value is left for the high end.
    assert grid_points(space, 2) == [{"low": 0, "high": 0}, {"low": 0, "high": 1}, {"low": 1, "high": 1}]


def test_largest_grid_is_complete() -> None:
    """A grid of exactly the maximum number of points is given whole, and one more point is too large."""

    def space(trial: BaseTrial, *, one_more: bool) -> None:
        kind = trial.suggest_categorical("kind", ["a", "b", "c"] if one_more else ["a", "b"])
        if kind != "c":
            trial.suggest_float("x", 0, 1)

    grid = grid_points(partial(space, one_more=False), MAX_TRIALS // 2)
    assert len(grid) == MAX_TRIALS
    assert grid[-1] == {"kind": "b", "x": 1.0}
    with pytest.raises(UserError, match="more than 200000 points"):
        grid_points(partial(space, one_more=True), MAX_TRIALS // 2)


@pytest.mark.parametrize(("sides", "points"), [(2, 448), (3, 60), (6, 9), (100, 10_000)])
def test_a_grid_too_large_is_one_line_long_before_it_is_counted(sides: int, points: int) -> None:
    runs = 0

    def space(trial: BaseTrial) -> None:
        nonlocal runs
        runs += 1
        for side in range(sides):
            trial.suggest_float(f"x{side}", 0, 1)

    with pytest.raises(UserError, match=r"^search\.grid_points: [^\n]*more than 200000 points[^\n]*$"):
        grid_points(space, points)
    assert runs < MAX_TRIALS / 5


def test_a_grid_without_end_is_too_large() -> None:
    def space(trial: BaseTrial) -> None:
        for place in itertools.count():
            trial.suggest_categorical(f"x{place}", [True, False])

    with pytest.raises(UserError, match="more than 200000 points"):
        grid_points(space, 2)


@pytest.mark.parametrize("points", [0, -1, MAX_TRIALS + 1])
def test_a_number_of_values_that_cannot_be_is_one_line(points: int) -> None:
    with pytest.raises(UserError, match=rf"^search\.grid_points: 1 to 200000 values are possible, not {points}$"):
        grid_points(lambda trial: None, points)


@pytest.mark.parametrize("later", [2, 0])
def test_a_space_that_changes_its_mind_is_one_line(later: int) -> None:
    sizes = itertools.chain([3], itertools.repeat(later))

    def space(trial: BaseTrial) -> None:
        if size := next(sizes):
            trial.suggest_categorical("x", range(size))

    with pytest.raises(UserError, match=r"^search\.space: [^\n]*$"):
        grid_points(space, 2)


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
def test_a_choice_that_cannot_be_stored_is_one_line() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_categorical("x", [(1, 2)])  # type: ignore[list-item]

    with pytest.raises(UserError, match=r"^search\.space: parameter x has a choice of type tuple"):
        grid_points(space, 2)


@pytest.mark.parametrize("student", ["digits-fc32", "student3"])
@pytest.mark.parametrize("name", SPACES)
def test_grid_size_follows_from_the_parameters(name: str, student: str) -> None:
    """A space has as many points as its parameters make."""
    grid = grid_points(_space(name, _quickstart(student)), 3)
    assert len({tuple(point.items()) for point in grid}) == len(grid)
    hidden = {"digits-fc32": 1, "student3": 4}[student]
    assert (
        len(grid)
        == {
            "sigma_alpha": 3**2,
            "randomized_sigma": 3**3,
            "noise_kind": 3**2 + 3**3 + 3**2 + 1,
            "soft_targets": 3**2,
            "student_width": 3 ** (2 + hidden),
            "any_reading": len(READINGS) * 3 * 3**3,  # 3 schedules; strength, α and learning rate
        }[name]
    )


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
@pytest.mark.parametrize("name", SPACES)
def test_an_enqueued_point_is_suggested_exactly(name: str, storage: str, tmp_path: Path) -> None:
    space = _space(name, _quickstart())
    url = f"sqlite:///{tmp_path / 'journal.db'}" if storage == "sqlite" else None
    study = optuna.create_study(storage=url, sampler=optuna.samplers.RandomSampler(seed=0))
    grid = grid_points(space, 3)
    step = 1 if storage == "memory" else max(4, len(grid) // 20)  # a database takes its time
    for point in grid[::step]:
        study.enqueue_trial(point)
        trial = study.ask()
        arm = space(trial)
        assert trial.params == point
        assert [type(value) for value in trial.params.values()] == [type(value) for value in point.values()]
        assert space(FixedTrial(point)) == arm
        again = optuna.Trial(study, trial._trial_id)  # as after a resume
        assert space(again) == arm
        assert again.params == point
        study.tell(trial, 0.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(_number, _categorical()), min_size=1, max_size=3), st.integers(1, 3))
def test_any_enqueued_point_is_suggested_exactly(parameters: list[Parameter], points: int) -> None:
    space = _all_of(parameters)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for point in grid_points(space, points):
        study.enqueue_trial(point)
        trial = study.ask()
        space(trial)
        assert trial.params == point


def test_a_grid_is_the_same_every_time() -> None:
    space = _space("noise_kind", _quickstart())
    assert grid_points(space, 4) == grid_points(space, 4)
    begun = [point["noise_kind"] for point in grid_points(space, 2)]
    assert begun == ["fixed"] * 4 + ["random"] * 8 + ["student"] * 4 + ["none"]


# ------------------------------------------------------------------------------------------------- points at the edges


@settings(deadline=None)
@given(st.lists(st.one_of(_number, _categorical()), max_size=4))
def test_edges_are_each_end_once_and_all_low_and_all_high(parameters: list[Parameter]) -> None:
    points = edge_points(_all_of(parameters))
    for place, parameter in enumerate(parameters):
        assert {parameter.low, parameter.high} <= {point[f"x{place}"] for point in points}
    assert {f"x{place}": parameter.low for place, parameter in enumerate(parameters)} in points
    assert {f"x{place}": parameter.high for place, parameter in enumerate(parameters)} in points
    assert len(points) <= 2 + sum(4 for _ in parameters)


@settings(deadline=None)
@given(_branch)
def test_edges_have_every_choice_of_every_branch(branch: Branch) -> None:
    found = {item for point in edge_points(branch.run) for item in point.items()}
    assert found == {item for point in branch.points() for item in point.items()}


def test_the_number_of_edge_points_is_limited() -> None:
    def space(trial: BaseTrial) -> None:
        trial.suggest_categorical("x", range(MAX_EDGE_POINTS + 1))

    assert len(edge_points(space)) == MAX_EDGE_POINTS


def test_an_error_of_the_space_at_an_edge_is_passed_on() -> None:
    def space(trial: BaseTrial) -> None:
        if trial.suggest_float("x", 0, 1) == 1:
            raise KeyError("the high end")

    with pytest.raises(KeyError, match="the high end"):
        edge_points(space)
