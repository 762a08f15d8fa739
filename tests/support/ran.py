"""A finished study in a folder, made in seconds: real trainings, a real store, no Ray.

A pytest plugin (PYTEST_DONT_REWRITE: it is imported before it is one).
"""

from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from models.cost import network_cost
from study.config import StudyConfig, TrialConfig, dump_study, parse_study, teacher_trial
from study.data.dataset import Dataset
from study.data.load import load_dataset
from study.distill.logit_store import LogitStore
from study.export.choice import choose
from study.export.weights import OpenedStudent, open_student
from study.planning import plan
from study.planning.keys import logits_key, training_key
from study.results.read import TrackedStudy, read_study
from study.running.job import DeviceImages, TrialJob
from study.running.trial import TrialRun
from study.storage import StartRecord, StudyFolder
from study.tracking.client import TrackingClient
from study.tracking.events import RunBegan, RunEnded, StudyBegan, StudyEnded
from study.tracking.names import Cost, run_name, run_params
from study.tracking.provenance import datasets_of, provenance, this_start

T0 = 1_700_000_000_000


@dataclass(frozen=True)
class Ran:
    """A study that ran: where, and on what."""

    name: str
    uri: str
    root: Path
    data_root: Path
    dataset: Dataset

    @property
    def tracked(self) -> TrackedStudy:
        return read_study(self.uri, self.name)

    def opened(self) -> OpenedStudent:
        return open_student(choose(self.tracked), self.root, self.data_root)


def small_study(**keys: Any) -> StudyConfig:
    """Digits at toy size; keys replace those of the study file."""
    study: dict[str, Any] = {
        "name": "small",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn", "train": {"epochs": 2}}],
        "student": {"network": "[C3(S1P1)@4-MP2(S2)]-FC10"},
        "train": {"epochs": 2, "lr": 0.01},
        "arms": [{"method": "noisy_teacher", "sigma": [0.2, 0.9]}],
        "seeds": [0, 1],
    }
    return parse_study(yaml.safe_dump({**study, **keys}), "a test")


def ran_study(config: StudyConfig, folder: Path, data_root: Path, uri: str | None = None) -> Ran:
    """Train a study's teachers and its grid, one after another, and track them."""
    torch.set_num_threads(1)  # as a worker does: on a busy machine two threads wait for each other
    root = folder / ".noisy-study"
    uri = uri or f"sqlite:///{folder / 'mlflow.db'}"
    dataset = load_dataset(config.data, data_root)
    files = StudyFolder(root, config.name)
    files.claim(
        StartRecord(
            study_file=dump_study(config),
            tracking_uri=uri,
            journal=files.own_journal,
            data_digest=dataset.digest,
            weights={},
        )
    )
    tracking = TrackingClient(uri, config.name)
    start = this_start()
    params, tags = provenance(config, dataset.digest, start)
    used = datasets_of(config.data, dataset)
    with chdir(folder):  # below which MLflow puts the artifacts of a new experiment
        began = StudyBegan(study_file=dump_study(config), params=params, tags=tags, datasets=used, start=start)
        tracking.apply([began])
    images = DeviceImages(dataset)
    targets: dict[str, Any] = {}
    designs = plan.teacher_designs(config)

    def cost(network: str) -> Cost:
        counted = network_cost(network, dataset.input_shape, dataset.class_count)
        return Cost(counted.multiplications, counted.parameters)

    def key_of(teacher: TrialConfig) -> str:
        return logits_key(teacher, dataset.digest)

    def train(number: int, trial: TrialConfig, where: Path) -> None:
        is_teacher = trial.stage == "teacher"
        target = key_of(teacher_trial(trial.taught_by[0])) if trial.teachers else None
        job = TrialJob(number, trial, where, target, root / "logits", key_of(trial) if is_teacher else None)
        trial_run = TrialRun(job, targets, images)
        while (report := trial_run.step()).summary is None:
            assert report.fatal is None, report.fatal
        assert report.summary.outcome in ("completed", "diverged"), report.summary.reason
        trial_id = f"{trial.stage}-{number:04d}"
        began = RunBegan(
            trial_id=trial_id,
            kind="teacher" if is_teacher else "trial",
            role=trial.role,
            stage=trial.stage,
            name=run_name(trial),
            params=run_params(
                trial,
                config.data.name,
                cost(trial.network),
                None,
                design=designs[training_key(trial)] if is_teacher else None,
            ),
            timestamp_ms=T0 + number,
        )
        tracking.apply([began, RunEnded(trial_id=trial_id, summary=report.summary, timestamp_ms=T0 + number)])

    for number, teacher in enumerate(plan.teacher_trials(config)):
        train(number, teacher, root / "teachers" / key_of(teacher))
        logits = LogitStore(root / "logits").read(key_of(teacher), dataset.train_size)
        assert logits is not None
        targets[key_of(teacher)] = logits.numpy()
    for number, trial in enumerate(plan.grid_trials(config)):
        train(number, trial, files.trial(f"grid-{number:04d}"))
    tracking.apply([StudyEnded(status="FINISHED", timestamp_ms=T0)])
    return Ran(config.name, uri, root, data_root, dataset)


@pytest.fixture(scope="session")
def ran_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the studies of these tests lie, with a store whose artifacts they write."""
    return tmp_path_factory.mktemp("ran")


@pytest.fixture(scope="session")
def ran(ran_folder: Path) -> Ran:
    """Digits, a convolutional student, two σ and two seeds."""
    return ran_study(small_study(), ran_folder, ran_folder)
