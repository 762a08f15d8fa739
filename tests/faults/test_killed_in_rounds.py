"""Seeds until decided: one table, with 1 and 2 workers, and after three kills."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.disturbed import SMALL, Driver, Study

from study.results.arm_looks import looks_of
from study.results.read import read_study
from study.results.render import render
from study.results.table import build_table

pytestmark = pytest.mark.faults

ROUNDS: dict[str, Any] = {
    **SMALL,
    "name": "rounds",
    "train": {"epochs": 4, "batch_size": 4, "patience": 0},
    "arms": [{"method": "noisy_teacher", "sigma": [1.0, 3.0, 9.0]}],
    "seeds": {"first": 3, "at_most": 6, "until": "decided"},
}
"""Three arms. The rounds end with 3, 5 and 6 seeds. With 3 seeds the first two arms are futile. The third one, which is
worse, is decided with 5. So there are 12 trainings, and then 4."""


def _until_results(study: Study, driver: Driver, number: int) -> None:
    driver.until(lambda: len(list(study.trials.glob("grid-*/result.json"))) >= number, f"{number} results")


def _json(study: Study) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(render(build_table(study.uri, study.name), "json"))
    return table


def test_rounds_give_one_table_whatever_happens(tmp_path: Path) -> None:
    alone, killed = Study(tmp_path / "alone", ROUNDS), Study(tmp_path / "killed", ROUNDS)
    alone.finish("run", alone.file.name)
    with killed.start("--set", "resources.workers=2") as driver:
        _until_results(killed, driver, 3)
        driver.kill_all()
    with killed.command("resume", "rounds") as driver:
        _until_results(killed, driver, 9)
        driver.kill_all()
    with killed.command("resume", "rounds") as driver:
        _until_results(killed, driver, 13)
        driver.kill_all()
    killed.finish("resume", "rounds")
    assert _json(killed) == _json(alone)
    assert sorted(killed.weights().values()) == sorted(alone.weights().values())
    assert set(killed.tracked().runs.values()) == {1}
    looks = looks_of(read_study(alone.uri, "rounds")).of_trials.values()
    assert sorted((look.state, look.seeds) for look in looks) == [("decided", 5), ("futile", 3), ("futile", 3)]


def test_a_budget_stops_and_a_larger_one_runs_on(tmp_path: Path) -> None:
    study = Study(tmp_path, {**ROUNDS, "budget": {"trainings": 12}})
    said = study.finish("run", study.file.name).stderr
    assert "stopped after a whole round: budget.trainings is 12; 12 trainings ran" in said
    assert len(study.weights()) == 12
    assert {row["n"] for row in study.table()} == {3}
    study.finish("extend", "rounds", "--set", "budget.trainings=500")
    assert max(row["n"] for row in study.table()) > 3
    assert "Stopped after a whole round" not in "\n".join(_json(study)["notes"])
