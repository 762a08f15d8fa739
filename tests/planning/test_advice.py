"""What is said about a search that can find little, or found nothing."""

import json

import pytest

from study.config import StudyConfig, parse_study
from study.planning.advice import nothing_completed, search_advice

FILE = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
"""


def config(**search: object) -> StudyConfig:
    return parse_study(FILE, "test", [f"search={json.dumps(search)}"])


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_never_learns_is_named(sampler: str) -> None:
    assert search_advice(config(sampler=sampler, trials=11)) == []
    (line,) = search_advice(config(sampler=sampler, trials=10))
    assert line == (
        f"search: all 10 trials will be random, because the sampler {sampler} learns only after startup_trials, which "
        "is 10; set a lower startup_trials or more trials"
    )


@pytest.mark.parametrize("search", [{"sampler": "random", "trials": 3}, {"sampler": "grid"}])
def test_a_sampler_that_has_nothing_to_learn_is_not(search: dict[str, object]) -> None:
    assert search_advice(config(**search)) == []


def test_a_study_without_a_search_gets_no_advice() -> None:
    assert search_advice(parse_study(FILE, "test", ["arms=[{method: labels}]"])) == []


def test_where_all_diverged_other_ranges_are_advised() -> None:
    line = nothing_completed("mine", "search", 3, ["search-0000: the training loss is nan", "b", "c"])
    assert (
        "stage search of study mine: all 3 trials diverged; the first: search-0000: the training loss is nan;" in line
    )
    assert "start another study with other ranges" in line


def test_diverged_and_stopped_trials_are_both_counted() -> None:
    line = nothing_completed("mine", "search", 3, ["search-0000: the training loss is nan"])
    assert "no trial completed (1 of 3 diverged, the others were stopped early)" in line
