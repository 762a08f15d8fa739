"""The live line of a study: what it says, and that it stays one line on any terminal."""

import io
from collections.abc import Sequence

import pytest
import yaml
from rich.console import Console

from study.config import StudyConfig, parse_study
from study.planning import plan
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.terminal.progress import TerminalProgress


@pytest.fixture
def config() -> StudyConfig:
    study = {
        "name": "shown",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn", "train": {"epochs": 10}}],
        "student": {"network": "digits-fc32"},
        "train": {"epochs": 4},
        "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
        "seeds": [0, 1],
    }
    return parse_study(yaml.safe_dump(study), "a test")


def epoch(number: int, seconds: float = 30.0) -> EpochRecord:
    return EpochRecord(
        epoch=number, train_loss=1.0, val_error=0.25, images_per_second=1.0, seconds=seconds, timestamp_ms=0
    )


def shown(config: StudyConfig, width: int, stages: Sequence[str]) -> tuple[str, int]:
    """The last line of the drawing at the end, and how many it has."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=20, color_system=None)
    with TerminalProgress(config, console) as progress:
        if "teacher" in stages:
            progress.stage_begins("teacher", 1, 0, 1)
            (teacher,) = plan.teacher_trials(config)
            progress.trial_begins("teacher", "teacher-0000", teacher)
            progress.trial_reports("teacher-0000", teacher, TrialReport(number=0, epochs=(epoch(1),)))
        if "grid" in stages:
            trials = plan.grid_trials(config)
            progress.stage_begins("grid", len(trials), 0, 1)
            progress.trial_begins("grid", "grid-0000", trials[0])
            records = tuple(map(epoch, range(1, 5)))
            for record in records:
                progress.trial_reports("grid-0000", trials[0], TrialReport(number=0, epochs=(record,)))
            summary = TrainingSummary(
                outcome="completed", epochs=4, best_val_error=0.25, best_epoch=1, train_seconds=120.0
            )
            progress.trial_reports("grid-0000", trials[0], TrialReport(number=0, summary=summary))
        paper = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
        with paper.capture() as captured:
            paper.print(progress._progress.get_renderable())
    lines = captured.get().rstrip("\n").split("\n")
    return lines[-1], len(lines)


def test_a_teacher_s_epochs_and_its_time_left_are_told(config: StudyConfig) -> None:
    line, _ = shown(config, 140, ["teacher"])
    assert "teacher digits-cnn: epoch 1 of 10, 25.00%" in line
    assert "4 min 30 s left" in line


def test_trials_time_left_rate_and_the_best_so_far_are_told(config: StudyConfig) -> None:
    line, _ = shown(config, 140, ["teacher", "grid"])
    for words in ("grid", "1/5", "6 min 00 s left", "2 epochs/min", "best 25.00% (baseline seed 0)"):
        assert words in line


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_line_stays_one_line_and_keeps_what_matters(config: StudyConfig, width: int) -> None:
    line, height = shown(config, width, ["teacher", "grid"])
    assert height == 1
    assert len(line) <= width
    assert "1/5" in line
    assert "left" in line


def test_a_log_has_a_line_for_each_stage_and_few_for_trials(config: StudyConfig) -> None:
    many = config.model_copy(update={"seeds": tuple(range(50))})  # 100 trials and a teacher: a line for every 5
    console = Console(file=io.StringIO(), width=200)
    trials = plan.grid_trials(many)
    with TerminalProgress(many, console) as progress:
        progress.stage_begins("grid", len(trials), 3, 2)
        for number, trial in enumerate(trials[3:]):
            summary = TrainingSummary(
                outcome="completed", epochs=4, best_val_error=0.25, best_epoch=1, train_seconds=120.0
            )
            progress.trial_reports(f"grid-{number:04d}", trial, TrialReport(number=0, summary=summary))
    assert isinstance(console.file, io.StringIO)
    begins, *lines = console.file.getvalue().splitlines()
    assert begins == "grid: 100 trials, 3 of them done before, 2 at once"
    assert len(lines) == 20
    assert lines[0].startswith("grid: 5 of 101 trials of the study, best 25.00% (")


def test_a_teacher_s_epochs_are_told_from_the_first_on(config: StudyConfig) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140, height=20, color_system=None)
    (teacher,) = plan.teacher_trials(config)
    with TerminalProgress(config, console) as progress:
        progress.stage_begins("teacher", 1, 0, 1)
        progress.trial_begins("teacher", "teacher-0000", teacher)
        (task,) = progress._progress.tasks
        assert task.description == "teacher digits-cnn: epoch 0 of 10"
        given = teacher.model_copy(update={"weights": "w.safetensors"})
        progress.trial_begins("teacher", "teacher-0001", given)
        assert task.description == "teacher digits-cnn"


def test_a_log_has_a_line_about_a_teacher_every_half_minute(
    config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("study.terminal.progress.time.monotonic", lambda: now)
    console = Console(file=io.StringIO(), width=140)
    (teacher,) = plan.teacher_trials(config)
    with TerminalProgress(config, console, lines=True) as progress:
        progress.stage_begins("teacher", 1, 0, 1)
        progress.trial_begins("teacher", "teacher-0000", teacher)
        for number in range(1, 9):
            progress.trial_reports("teacher-0000", teacher, TrialReport(number=0, epochs=(epoch(number),)))
            now += 12
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "teacher: 1 trial, 1 at once",
        *(f"teacher digits-cnn: epoch {number} of 10, 25.00%" for number in (1, 4, 7)),
    ]
