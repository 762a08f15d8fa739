"""What a study will cost, from what earlier studies measured."""

from pathlib import Path

import pytest

from study.config import StudyConfig, dump_study, parse_study
from study.planning.plan import grid_trials
from study.records import EpochRecord, TrainingSummary, TrialReport
from study.running.estimate import cost_lines, seconds_per_epoch
from study.running.result import RESULT, write_result
from study.storage import StartRecord, StudyFolder

STUDY = """
name: s
data: {name: digits}
teachers: [{network: FC10}]
student: {network: FC10}
train: {epochs: 30}
arms: [{method: noisy_teacher, sigma: [0.1, 0.2]}]
"""


def _study(*changes: str) -> StudyConfig:
    return parse_study(STUDY, "a test", changes)


def _ran(root: Path, config: StudyConfig, seconds: list[float]) -> None:
    """A study whose first trial had epochs of so many seconds."""
    folder = StudyFolder(root, config.name)
    folder.claim(StartRecord(study_file=dump_study(config), tracking_uri="", journal="", data_digest="", weights={}))
    epochs = tuple(
        EpochRecord(epoch=epoch, train_loss=1, val_error=0.1, images_per_second=1, seconds=each, timestamp_ms=epoch)
        for epoch, each in enumerate(seconds, 1)
    )
    summary = TrainingSummary(outcome="completed", epochs=len(epochs), best_val_error=0.1, train_seconds=sum(seconds))
    file = folder.trial("grid-0000") / RESULT
    write_result(file, grid_trials(config)[0], TrialReport(number=0, epochs=epochs, summary=summary), 1)


def test_seconds_of_an_epoch_come_from_studies_of_the_same_images(tmp_path: Path) -> None:
    _ran(tmp_path, _study("name=one"), [1.0, 2.0, 90.0])
    _ran(tmp_path, _study("name=other", "data.fraction=0.5"), [50.0])
    assert seconds_per_epoch(_study(), tmp_path) == {("FC10", 64): 2.0}


def test_a_damaged_result_measures_nothing(tmp_path: Path) -> None:
    _ran(tmp_path, _study("name=one"), [1.0])
    (StudyFolder(tmp_path, "one").trial("grid-0000") / RESULT).write_text("{")
    assert seconds_per_epoch(_study(), tmp_path) == {}


@pytest.mark.parametrize(
    ("changes", "measured", "lines"),
    [
        ([], False, []),
        (
            [],
            True,
            ["cost: the grid has 9 trainings (at most 0.15 hours of training, as earlier studies here measured)"],
        ),
        (
            ["seeds={first: 3, at_most: 8, until: decided}"],
            False,
            [
                "seeds: rounds that end with 3, 5, 8 seeds; each look at the results is at the end of a round",
                "cost: the first round has 9 trainings, all rounds have at most 24",
            ],
        ),
        (["budget={trainings: 50}", "student.network=FC8-FC10"], True, ["cost: the grid has 9 trainings"]),
    ],
)
def test_validate_says_what_is_known(tmp_path: Path, changes: list[str], measured: bool, lines: list[str]) -> None:
    if measured:
        _ran(tmp_path, _study("name=one"), [2.0])
    assert cost_lines(_study(*changes), tmp_path) == lines
