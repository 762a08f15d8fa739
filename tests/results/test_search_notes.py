"""What a table says of a search that could not do what was asked of it."""

from collections.abc import Callable

import pytest
from support.handwritten import BASELINE, COMMON, Writer

from study.results.table import build_table
from study.tracking import schema

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]


@pytest.fixture
def notes(uri: str) -> Callable[[Writer], list[str]]:
    return lambda study: [*build_table(uri, study.name).notes]


def searched(study: Writer) -> Writer:
    """Two searched trials, one of them confirmed."""
    for sigma in (0.3, 0.4):
        study.trial(9, None, stage="search", sigma=sigma, alpha=0.5, epochs_trained=7)
    study.baseline({0: 0.10, 1: 0.12}, stage="confirm")
    study.arm({0: 0.09, 1: 0.11}, stage="confirm", sigma=0.3, alpha=0.5)
    return study


@pytest.mark.parametrize(
    ("found", "objectives", "said"),
    [
        ("1", "val_error", "has 1 different one."),
        ("2", "val_error", "has 2 different ones."),
        ("2", "val_error,multiplications", "has 2 different ones on its Pareto front."),
    ],
)
def test_a_table_says_that_points_were_missing(
    new_study: NewStudy, notes: Callable[[Writer], list[str]], found: str, objectives: str, said: str
) -> None:
    study = searched(new_study(confirm_top="3", confirm_points=found, objectives=objectives))
    (line,) = (line for line in notes(study) if line.startswith("confirm.top"))
    beginning = f"confirm.top asks for 3 points, but the search {said}"
    assert line == f"{beginning} Trainings of the baseline do not count."


def test_a_table_says_nothing_of_points_that_were_all_found(
    new_study: NewStudy, notes: Callable[[Writer], list[str]]
) -> None:
    study = searched(new_study(confirm_top="1", confirm_points="1"))
    assert not [line for line in notes(study) if line.startswith("confirm.top")]


def test_a_table_says_that_only_the_baseline_was_found(
    new_study: NewStudy, notes: Callable[[Writer], list[str]]
) -> None:
    study = new_study(confirm_top="1", confirm_points="0")
    study.trial(9, None, stage="search", method="logit_regression", sigma="0.0", alpha="0.0", epochs_trained=7)
    study.baseline({0: 0.10, 1: 0.12}, stage="confirm")
    lines = notes(study)
    assert [line for line in lines if line.startswith("Searched")] == [
        "Searched: 1 trial by validation error on 1 seed, 7 epochs in total; every completed point is the same "
        "training as the baseline, so no arm is confirmed."
    ]
    assert [line for line in lines if line.startswith("confirm.top asks for 1 point, but the search has none.")]


def test_a_table_counts_the_trials_that_repeat_a_training(
    new_study: NewStudy, notes: Callable[[Writer], list[str]]
) -> None:
    study = searched(new_study())
    assert not [line for line in notes(study) if "repeated" in line]
    for role, settings in (("arm", {"sigma": 0.3, "alpha": 0.5}), ("baseline", BASELINE)):
        tags = {schema.KIND: "trial", schema.ROLE: role, schema.STAGE: "search", schema.OUTCOME: "completed"}
        metrics = {schema.BEST_VAL_ERROR: 0.5, schema.EPOCHS_TRAINED: 0}
        study.run({**tags, schema.REPEATS: "search-0000"}, {**COMMON, **settings, "seed": 9}, metrics)
    assert (
        "2 trials of the search repeated a training: the result of the earlier trial was used, and the training "
        "did not run again."
    ) in notes(study)


@pytest.mark.parametrize(
    ("sampler", "startup", "trials", "is_random"),
    [
        ("tpe", "10", "10", True),
        ("gp", "12", "10", True),
        ("cmaes", "10", "10", True),
        ("tpe", "9", "10", False),
        ("random", "10", "10", False),
        ("grid", "10", "10", False),
        ("tpe", "many", "10", False),
    ],
)
def test_a_table_says_that_the_sampler_never_learned(
    new_study: NewStudy,
    notes: Callable[[Writer], list[str]],
    sampler: str,
    startup: str,
    trials: str,
    is_random: bool,
) -> None:
    study = searched(new_study(sampler=sampler, startup_trials=startup, search_trials=trials))
    found = [line for line in notes(study) if line.startswith("All trials of the search were random")]
    assert len(found) == is_random
