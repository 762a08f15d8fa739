"""A job is cheap to print and to copy: Ray Tune does both many times for every trial."""

import copy
from pathlib import Path

import pytest

from study.config import TrialConfig
from study.running.job import TrialJob
from study.running.trainable import JOB


@pytest.fixture
def job(tmp_path: Path) -> TrialJob:
    trial = TrialConfig.model_validate(
        {"stage": "grid", "role": "arm", "network": "FC3", "method": "labels", "seed": 0, "train": {}}
    )
    return TrialJob(7, trial, tmp_path, None, tmp_path)


def test_a_job_is_printed_as_its_number(job: TrialJob) -> None:
    assert str({JOB: job}) == "{'job': TrialJob(7)}"


def test_a_copy_of_a_job_is_the_same_object(job: TrialJob) -> None:
    assert copy.deepcopy({JOB: job})[JOB] is job
