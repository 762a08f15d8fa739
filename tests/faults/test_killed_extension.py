"""A study that grows and is killed meanwhile has the table of one study of the final size."""

from pathlib import Path
from typing import Any

import pytest
from support.disturbed import SMALL, Driver, Study
from support.undisturbed import Undisturbed

from study.results.read import read_study
from study.results.table import table_of
from study.tracking import schema

pytestmark = pytest.mark.faults

FIRST: dict[str, Any] = {
    **SMALL,
    "train": {"epochs": 5, "batch_size": 8, "patience": 0},
    "arms": [{"method": "noisy_teacher", "sigma": [0.2, 0.5, {"uniform": [0.01, 1.0]}]}],
    "resources": {"workers": 2},
}
"""Two seeds and three arms: eight trials."""

FINAL = {
    **FIRST,
    "arms": [
        {"method": "noisy_teacher", "sigma": [0.2, 0.5, {"uniform": [0.01, 1.0]}, 0.7]},
        {"method": "labels"},
        {"method": "noisy_teacher", "sigma": 0.2, "student": {"network": "FC8-FC10"}},
    ],
    "seeds": [0, 1, 2, 3, 4],
}
"""Five seeds, six arms and two students, each with its baseline: 40 trials."""

SEARCHED: dict[str, Any] = {
    **FIRST,
    "name": "searched",
    "arms": [],
    "search": {"sampler": "random", "trials": 8, "confirm": {"top": 1}},
}


def _results(study: Study, stage: str = "grid") -> int:
    return len(list(study.trials.glob(f"{stage}-*/result.json")))


def _until_results(study: Study, driver: Driver, number: int, stage: str = "grid") -> None:
    driver.until(lambda: _results(study, stage) >= number, f"{number} results of the stage {stage}")


def test_an_extended_study_is_one_of_the_final_size(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Two seeds and three arms become four of each, and then the final study. Both extensions are killed."""
    study = Study(tmp_path, FIRST)
    study.finish("run", study.file.name)
    before = study.weights()
    first = ["--set", "seeds=[0, 1, 2, 3]", "--set", "arms.0.sigma=[0.2, 0.5, {uniform: [0.01, 1.0]}, 0.7]"]
    with study.command("extend", "small", *first) as driver:
        _until_results(study, driver, 11)
        driver.kill_all()
    study.finish("extend", "small", *first)  # the same command again resumes it
    assert _results(study) == 20
    final = Study(tmp_path, FINAL)  # writes the larger file under the same name
    with final.start("--extend") as driver:
        _until_results(study, driver, 25)
        driver.ctrl_c()
        assert driver.ends() == 130
    study.finish("resume", "small")

    whole = undisturbed(FINAL)
    assert study.table() == whole.table()
    assert {trial: study.weights()[trial] for trial in before} == before, "nothing that ran is run again"
    assert sorted(study.weights().values()) == sorted(whole.weights().values())
    tracked = study.tracked()
    assert set(tracked.runs.values()) == {1}
    assert set(tracked.statuses) == {"FINISHED"}
    assert len(tracked.runs) == len(whole.tracked().runs)
    parent = read_study(study.uri, "small")
    assert sum(tag.startswith(schema.EXTENSION) for tag in parent.tags) == 2
    assert parent.params[schema.SEEDS] == "0,1,2,3,4"
    assert "The table had results before it was extended." in "\n".join(table_of(parent).notes)


def test_a_search_that_is_extended_keeps_what_it_confirmed(tmp_path: Path) -> None:
    """8 trials become 20, and one seed is added. The extension is killed in the search."""
    study = Study(tmp_path, SEARCHED)
    study.finish("run", study.file.name)
    before, rows = study.weights(), study.table()
    change = ["--set", "search.trials=20", "--set", "seeds=[0, 1, 2]", "--set", "search.confirm.top=2"]
    with study.command("extend", "searched", *change) as driver:
        _until_results(study, driver, 12, "search")
        driver.kill()
    study.finish("resume", "searched")

    assert {trial: study.weights()[trial] for trial in before} == before, "nothing that ran is run again"
    parent = read_study(study.uri, "searched")
    trials = parent.trials
    seeds = trials.groupby(f"tags.{schema.STAGE}")[f"params.{schema.SEED}"].apply(set)
    assert seeds["search"] == {"2"}, "the seed of the search stays"
    assert seeds["confirm"] == {"0", "1", "3"}, "no seed that searched confirms"
    assert sum(trials[f"tags.{schema.STAGE}"] == "search") == 20
    now = {(row["role"], str(row["sigma"])): row for row in study.table()}
    for row in rows:
        grown = now[row["role"], str(row["sigma"])]
        assert {seed: grown["errors"][seed] for seed in row["errors"]} == row["errors"]
        assert (grown["n"], grown["n_planned"]) == (3, 3)
    assert 3 <= len(now) <= 4, "the baseline, the point of before, and the best two, of which one may be that point"
    assert "Confirmed before the search was extended" in "\n".join(table_of(parent).notes)
