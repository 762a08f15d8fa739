"""The driver is killed, or the whole of Ray, or a part of it: `resume` finishes the study."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.disturbed import SMALL, Driver, Study, kill, unharmed
from support.undisturbed import Undisturbed

pytestmark = pytest.mark.faults
KILLS: dict[str, Callable[[Driver], None]] = {"the driver": Driver.kill, "the driver and all of Ray": Driver.kill_all}


def _until_trial(study: Study, driver: Driver, number: int) -> None:
    """Until a trial is in its midst."""
    driver.until((study.trials / f"grid-{number:04d}" / "checkpoint.pt").exists, f"trial {number} has a checkpoint")


@pytest.mark.parametrize("what", KILLS)
def test_a_study_killed_twice_is_finished_by_resume(tmp_path: Path, undisturbed: Undisturbed, what: str) -> None:
    study = Study(tmp_path, SMALL)
    with study.start("--set", "resources.workers=2") as driver:
        _until_trial(study, driver, 0)
        KILLS[what](driver)
    with study.command("resume", "small") as driver:
        _until_trial(study, driver, 4)
        KILLS[what](driver)
    study.finish("resume", "small")
    unharmed(study, undisturbed(SMALL), f"`kill -9` of {what}", 2)


@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_study_ends_in_one_line_where_ray_dies(tmp_path: Path, undisturbed: Undisturbed, server: str) -> None:
    """Where Ray dies under a study, the study ends with one line and can be resumed."""
    study = Study(tmp_path, SMALL)
    with study.start() as driver:
        _until_trial(study, driver, 2)
        kill(driver.server(server))
        assert driver.ends(within=20) == 1
        assert driver.stderr.startswith("Ray died: nothing listens at ")
        assert driver.stderr.endswith(" any more; resume it with: noisy-study resume small\n")
        assert driver.stderr.count("\n") == 1
        assert driver.stdout == ""
    study.finish("resume", "small")
    unharmed(study, undisturbed(SMALL), f"`kill -9` of Ray's {server} alone", 1)
