"""Ctrl-C and SIGTERM stop a study within ten seconds at any moment, and it says how to go on."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.disturbed import SMALL, Driver, Study, command, unharmed, wait_for
from support.undisturbed import Undisturbed

SIGNALS: dict[str, Callable[[Driver], None]] = {
    "Ctrl-C": Driver.ctrl_c,
    "SIGTERM": lambda driver: driver.signal(signal.SIGTERM),
}
HOW_TO_GO_ON = "interrupted; resume it with: noisy-study resume small\n"
ENDLESS = ("--set", "train.epochs=100000")
MOMENTS = 3
"""So many starts are interrupted, each a little later than the one before."""


def _until_training(study: Study, driver: Driver) -> None:
    driver.until((study.trials / "grid-0000" / "checkpoint.pt").exists, "the first trial has a checkpoint")


@pytest.mark.faults
@pytest.mark.parametrize("how", SIGNALS)
def test_interrupted_study_resumes_by_its_command(tmp_path: Path, undisturbed: Undisturbed, how: str) -> None:
    """An interrupted study is finished by the command that it names."""
    study = Study(tmp_path, SMALL)
    with study.start() as driver:
        _until_training(study, driver)
        SIGNALS[how](driver)
        assert driver.ends(within=10) == 130
        assert driver.stderr == HOW_TO_GO_ON
        assert driver.stdout == ""
    study.finish("resume", "small")
    unharmed(study, undisturbed(SMALL), how, 1)


GROUPS: dict[str, Callable[[Driver], None]] = {
    "SIGTERM to the process group": lambda driver: driver.signal_group(signal.SIGTERM),
    "SIGTERM to every process of the job": lambda driver: driver.signal_all(signal.SIGTERM),
    "SIGHUP to the process group": lambda driver: driver.signal_group(signal.SIGHUP),
}


@pytest.mark.faults
@pytest.mark.parametrize("how", GROUPS)
def test_a_signal_to_a_group_interrupts_the_study(tmp_path: Path, undisturbed: Undisturbed, how: str) -> None:
    """`timeout`, systemd, Slurm and a dropped ssh send it so."""
    study = Study(tmp_path, SMALL)
    with study.start() as driver:
        _until_training(study, driver)
        GROUPS[how](driver)
        assert driver.ends(within=15) == 130, driver.stderr
        assert driver.stderr.endswith(HOW_TO_GO_ON)
        assert "died" not in driver.stderr
    study.finish("resume", "small")
    unharmed(study, undisturbed(SMALL), how, 1)


@pytest.mark.faults
def test_sighup_ignored_at_the_start_stays_ignored(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """As under `nohup`: the study is not interrupted."""
    study = Study(tmp_path, SMALL, launch=command)
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child inherits this
    try:
        with study.start() as driver:
            _until_training(study, driver)
            driver.signal_group(signal.SIGHUP)
            driver.finishes()
    finally:
        signal.signal(signal.SIGHUP, former)
    unharmed(study, undisturbed(SMALL), "SIGHUP under `nohup`", 1)


@pytest.mark.faults
def test_second_ctrl_c_ends_the_study_at_once(tmp_path: Path) -> None:
    """Ray's head is held still, so that the first one waits for it until it is cut off."""
    study = Study(tmp_path, SMALL)
    with study.start(*ENDLESS) as driver:
        _until_training(study, driver)
        driver.server("gcs_server").suspend()
        first = time.monotonic()
        while driver.running and time.monotonic() - first < 10:
            driver.ctrl_c()
            time.sleep(0.1)  # two signals of one kind that wait are one
        assert driver.ends(within=0) == 130
        assert driver.stderr == "", "neither wound down nor cut off"


@pytest.mark.faults
def test_a_wind_down_that_hangs_is_cut_off(tmp_path: Path) -> None:
    study = Study(tmp_path, SMALL)
    with study.start(*ENDLESS) as driver:
        _until_training(study, driver)
        driver.server("gcs_server").suspend()
        driver.ctrl_c()
        assert driver.ends(within=10) == 130
        assert driver.stderr == HOW_TO_GO_ON


@pytest.mark.faults
def test_interrupted_start_leaves_nothing_in_the_way(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """While libraries and images load, Ray and the stores start, the teacher is trained and its logits computed."""
    started = time.monotonic()
    first = Study(tmp_path / "measured", SMALL, launch=command)
    with first.start(*ENDLESS) as driver:
        _until_training(first, driver)
    whole, study = time.monotonic() - started, Study(tmp_path / "interrupted", SMALL, launch=command)
    injected = 0
    for number in range(1, MOMENTS + 1):
        with study.command(*_words(study)) as driver:
            moment = time.monotonic() + whole * number / MOMENTS
            wait_for(lambda: time.monotonic() > moment or not driver.running, "the moment has come")  # noqa: B023
            if not driver.running:  # every start went a little further
                break
            list(SIGNALS.values())[number % 2](driver)
            status = driver.ends(within=10)
            if status == -signal.SIGINT and driver.stdout:  # it had ended, and its interpreter was on its way out
                break
            assert status == 130, driver.stderr
            # While Ray starts, its core has a handler of its own for SIGTERM, which speaks before it passes it on.
            *others, last = driver.stderr.splitlines(keepends=True)
            rays_own = [line for line in others if not line.startswith("the tracking server is slow")]
            assert last in ("interrupted\n", HOW_TO_GO_ON), f"at {number / MOMENTS} of {whole} s: {driver.stderr}"
            assert not rays_own or rays_own[0].startswith("*** SIGTERM received"), driver.stderr
            if driver.stdout:  # its table, so it had ended
                break
            injected += 1
    study.finish(*_words(study))
    unharmed(study, undisturbed(SMALL), "Ctrl-C and SIGTERM in turn while a study starts", injected)


def _words(study: Study) -> tuple[str, ...]:
    """What goes on with a study: nothing was made if it was interrupted early enough."""
    return ("resume", "small") if study.trials.with_name("study.yaml").exists() else ("run", "small.yaml")
