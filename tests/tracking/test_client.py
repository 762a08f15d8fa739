"""Events written to a real store: each may come twice, and after any interruption."""

import itertools
import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from study.records import EpochRecord, TrainingSummary
from study.results.artifacts import read_study_file
from study.results.read import read_study
from study.tracking import schema, view
from study.tracking.client import TrackingClient
from study.tracking.entities import MAX_METRICS
from study.tracking.events import (
    DatasetUsed,
    EpochsPassed,
    Event,
    MachineMeasured,
    RunBegan,
    RunEnded,
    StudyBegan,
    StudyEnded,
    StudyParams,
    StudyStart,
)
from study.tracking.provenance import this_start

_NAMES = (f"study-{number}" for number in itertools.count())


@pytest.fixture
def uri(tracking_store: str) -> str:
    return tracking_store


@pytest.fixture
def study() -> str:
    return next(_NAMES)


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        train_loss=1 / number,
        val_error=0.5 / number,
        images_per_second=1000.0,
        seconds=1.0,
        timestamp_ms=1_700_000_000_000 + 1000 * number,
    )


STUDY_BEGAN = StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={"version": "1"})
BEGAN = RunBegan(
    trial_id="grid-0001",
    kind="trial",
    role="arm",
    stage="grid",
    name="σ=0.80 α=0.15 seed 1",
    params={"sigma": "0.8", "seed": "1"},
    timestamp_ms=1_700_000_000_000,
)
ENDED = RunEnded(
    trial_id="grid-0001",
    summary=TrainingSummary(
        outcome="completed", epochs=3, best_val_error=0.1, best_epoch=3, train_seconds=3.0, test_error=0.2
    ),
    timestamp_ms=1_700_000_004_000,
)
TRIAL: list[Event] = [
    BEGAN,
    EpochsPassed(trial_id="grid-0001", epochs=(epoch(1),)),
    EpochsPassed(trial_id="grid-0001", epochs=(epoch(1), epoch(2))),
    EpochsPassed(trial_id="grid-0001", epochs=(epoch(3),)),
    ENDED,
]


def start(day: int, torch: str) -> StudyStart:
    return StudyStart(timestamp_ms=1_700_000_000_000 + 86_400_000 * day, versions={"torch": torch}, commit="a" * 40)


TAGS = (schema.PARENT, schema.KIND, schema.TRIAL_ID, schema.ROLE, schema.STAGE)


def opened(uri: str, study: str) -> TrackingClient:
    client = TrackingClient(uri, study)
    client.apply([STUDY_BEGAN])
    return client


def children(uri: str, study: str) -> list[Run]:
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.`{schema.KIND}` = 'trial'"))


def steps(uri: str, run: Run) -> list[int]:
    return [metric.step for metric in mlflow.MlflowClient(uri).get_metric_history(run.info.run_id, schema.VAL_ERROR)]


def test_a_trial_becomes_a_child_run_in_the_schema(uri: str, study: str) -> None:
    client = opened(uri, study)
    for event in TRIAL:
        client.apply([event])
    (run,) = children(uri, study)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "σ=0.80 α=0.15 seed 1"
    assert run.data.params == {"sigma": "0.8", "seed": "1"}
    assert run.data.metrics[schema.TEST_ERROR] == 0.2
    assert run.data.metrics[schema.BEST_EPOCH] == 3
    assert run.data.tags[schema.PARENT] == client.find_study()
    assert run.data.tags[schema.OUTCOME] == "completed"
    assert steps(uri, run) == [1, 2, 3]


@pytest.mark.parametrize("interrupted_after", range(len(TRIAL) + 1))
def test_a_restart_that_says_everything_again_changes_nothing(uri: str, study: str, interrupted_after: int) -> None:
    first = opened(uri, study)
    for event in TRIAL[:interrupted_after]:
        first.apply([event])
    second = opened(uri, study)
    for event in TRIAL:
        second.apply([event])
    (run,) = children(uri, study)
    assert steps(uri, run) == [1, 2, 3]
    assert run.data.tags[schema.OUTCOME] == "completed"
    assert second.find_study() == first.find_study()


def test_events_written_together_are_as_good_as_one_by_one(uri: str, study: str) -> None:
    ended = StudyEnded(status="FINISHED", timestamp_ms=1_700_000_005_000)
    client = TrackingClient(uri, study)
    client.apply([STUDY_BEGAN, *TRIAL, StudyParams(params={"more": "1", "dataset": "another"}), ended])
    (run,) = children(uri, study)
    assert steps(uri, run) == [1, 2, 3]
    assert run.data.metrics[schema.TEST_ERROR] == 0.2
    found = client.find_study()
    assert found is not None
    parent = mlflow.MlflowClient(uri).get_run(found)
    assert parent.data.params == {"dataset": "digits", "more": "1"}
    assert (parent.info.status, parent.info.end_time) == ("FINISHED", 1_700_000_005_000)


def test_short_trial_takes_one_batch_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that began and ended since the last delivery takes one write beside its run's own."""
    client = opened(f"sqlite:///{tmp_path / 'mlflow.db'}", "it")
    written = []
    log_batch = mlflow.MlflowClient.log_batch

    def count(self: mlflow.MlflowClient, run_id: str, **what: Any) -> None:
        written.append(run_id)
        log_batch(self, run_id, **what)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", count)
    client.apply(TRIAL)
    assert len(written) == 1


@pytest.mark.parametrize("epochs", [MAX_METRICS // 3 - 1, MAX_METRICS // 3, 2 * MAX_METRICS])
def test_a_trial_of_many_epochs_arrives_whole(tmp_path: Path, epochs: int) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = opened(uri, "it")
    client.apply([BEGAN, EpochsPassed(trial_id="grid-0001", epochs=tuple(map(epoch, range(1, epochs + 1)))), ENDED])
    (run,) = children(uri, "it")
    assert steps(uri, run) == list(range(1, epochs + 1))
    assert run.data.params == {"sigma": "0.8", "seed": "1"}
    assert (run.data.tags[schema.OUTCOME], run.data.metrics[schema.TEST_ERROR]) == ("completed", 0.2)


def test_of_runs_that_a_request_given_up_has_doubled_one_stays(uri: str, study: str) -> None:
    first = opened(uri, study)
    first.apply(TRIAL[:2])
    server = mlflow.MlflowClient(uri)
    (run,) = children(uri, study)
    for _ in range(2):
        # What a hanging server makes of a request when it wakes up after its client has gone on.
        server.create_run(run.info.experiment_id, tags={name: run.data.tags[name] for name in TAGS})
    TrackingClient(uri, study).apply(TRIAL)
    (left,) = children(uri, study)
    assert left.info.run_id == run.info.run_id
    assert steps(uri, left) == [1, 2, 3]


def test_duplicate_parent_runs_are_reduced_to_one(uri: str, study: str) -> None:
    """Of the parent runs that a request given up has doubled, one stays."""
    parent = opened(uri, study).find_study()
    server = mlflow.MlflowClient(uri)
    experiment = server.get_experiment_by_name(study)
    assert experiment is not None
    server.create_run(experiment.experiment_id, tags={schema.KIND: "study"})
    assert read_study(uri, study).params == {"dataset": "digits"}
    client = TrackingClient(uri, study)
    client.apply([STUDY_BEGAN, *TRIAL, StudyEnded(status="FINISHED", timestamp_ms=1_700_000_005_000)])
    (left,) = server.search_runs([experiment.experiment_id], f"tags.`{schema.KIND}` = 'study'")
    assert (left.info.run_id, left.info.status) == (parent, "FINISHED")


def test_a_run_that_somebody_deleted_stops_nothing(uri: str, study: str) -> None:
    opened(uri, study).apply(TRIAL[:2])
    (run,) = children(uri, study)
    mlflow.MlflowClient(uri).delete_run(run.info.run_id)
    TrackingClient(uri, study).apply(TRIAL[2:])
    assert children(uri, study) == []


def test_retrained_epochs_are_not_tracked_twice(uri: str, study: str) -> None:
    """Epochs that are trained again after a lost checkpoint are not tracked twice."""
    first = opened(uri, study)
    first.apply([BEGAN])
    first.apply([EpochsPassed(trial_id="grid-0001", epochs=(epoch(1), epoch(2)))])
    later = epoch(2).model_copy(update={"timestamp_ms": epoch(2).timestamp_ms + 60_000})
    second = opened(uri, study)
    second.apply([BEGAN])
    second.apply([EpochsPassed(trial_id="grid-0001", epochs=(epoch(1), later, epoch(3)))])
    second.apply([ENDED])
    (run,) = children(uri, study)
    assert steps(uri, run) == [1, 2, 3]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("completed", "FINISHED"), ("pruned", "KILLED"), ("diverged", "FAILED"), ("failed", "FAILED")],
)
def test_outcomes_are_tags_and_mlflow_s_own_states(uri: str, study: str, outcome: str, status: str) -> None:
    client = opened(uri, study)
    summary = TrainingSummary.model_validate(
        {"outcome": outcome, "epochs": 1, "train_seconds": 1.0, "reason": "the loss is nan"}
    )
    client.apply([BEGAN])
    client.apply([RunEnded(trial_id="grid-0001", summary=summary, timestamp_ms=1_700_000_001_000)])
    (run,) = children(uri, study)
    assert (run.data.tags[schema.OUTCOME], run.info.status) == (outcome, status)
    assert run.data.tags[schema.REASON] == "the loss is nan"


def test_a_trial_that_repeats_another_one_names_it(uri: str, study: str) -> None:
    client = opened(uri, study)
    summary = TrainingSummary(
        outcome="completed", epochs=0, best_val_error=0.1, train_seconds=0.0, repeats="search-0003"
    )
    client.apply([BEGAN])
    client.apply([RunEnded(trial_id="grid-0001", summary=summary, timestamp_ms=1_700_000_001_000)])
    (run,) = children(uri, study)
    assert run.data.tags[schema.REPEATS] == "search-0003"
    assert (run.data.metrics[schema.BEST_VAL_ERROR], run.data.metrics[schema.EPOCHS_TRAINED]) == (0.1, 0)
    assert run.info.status == "FINISHED"


def test_a_resumed_study_is_running_again_and_keeps_its_file(uri: str, study: str) -> None:
    opened(uri, study).apply([StudyEnded(status="KILLED", timestamp_ms=1_700_000_005_000)])
    client = opened(uri, study)
    parent = client.find_study()
    assert parent is not None
    run = mlflow.MlflowClient(uri).get_run(parent)
    assert run.info.status == "RUNNING"
    assert read_study_file(uri, parent) == "name: it\n"
    client.apply([StudyEnded(status="FINISHED", timestamp_ms=1_700_000_006_000)])
    assert mlflow.MlflowClient(uri).get_run(parent).info.status == "FINISHED"


def test_a_store_is_made_where_its_folder_is(tmp_path: Path) -> None:
    assert TrackingClient(f"sqlite:///{tmp_path / 'new.db'}", "it").find_study() is None
    assert (tmp_path / "new.db").exists()


def test_study_view_is_saved_once(uri: str, study: str) -> None:
    """A study has a view that is saved once; after that it is its readers' own."""
    client, server = TrackingClient(uri, study), mlflow.MlflowClient(uri)
    client.apply([STUDY_BEGAN])
    experiment = server.get_experiment_by_name(study)
    assert experiment is not None
    assert json.loads(experiment.tags[view.TAG])["name"] == view.NAME
    assert view.pages(uri, most=1000)[study] == view.page(experiment.experiment_id)
    server.set_experiment_tag(experiment.experiment_id, view.TAG, "overridden")
    TrackingClient(uri, study).apply([STUDY_BEGAN])
    assert server.get_experiment(experiment.experiment_id).tags[view.TAG] == "overridden"


def test_the_data_are_inputs_of_the_parent_run(uri: str, study: str) -> None:
    used = [
        DatasetUsed(
            name=f"digits {split}",
            digest="d" * 36,
            context=context,
            source='{"tags": {"noisy_study.data": "{}"}}',
            shape=(count, 1, 8, 8),
            dtype="uint8",
            classes=10,
        )
        for split, context, count in (("train", "training", 997), ("test", "testing", 500))
    ]
    began = STUDY_BEGAN.model_copy(update={"datasets": tuple(used)})
    client = TrackingClient(uri, study)
    client.apply([began])
    TrackingClient(uri, study).apply([began])
    run = mlflow.MlflowClient(uri).get_run(str(client.find_study()))
    assert run.inputs is not None
    inputs = {entry.dataset.name: entry for entry in run.inputs.dataset_inputs}
    assert set(inputs) == {"digits train", "digits test"}
    assert inputs["digits train"].dataset.digest == "d" * 36
    assert [(tag.key, tag.value) for tag in inputs["digits test"].tags] == [("mlflow.data.context", "testing")]
    assert mlflow.data.get_source(inputs["digits test"].dataset).to_dict() == {"tags": {"noisy_study.data": "{}"}}


def test_the_machine_is_a_metric_of_the_parent_run_once(uri: str, study: str) -> None:
    measured = MachineMeasured(metrics={"system/cpu_utilization_percentage": 12.5}, timestamp_ms=1_700_000_000_000)
    client = TrackingClient(uri, study)
    client.apply([STUDY_BEGAN, measured, measured])
    parent = str(client.find_study())
    history = mlflow.MlflowClient(uri).get_metric_history(parent, "system/cpu_utilization_percentage")
    assert [(metric.value, metric.step) for metric in history] == [(12.5, 1_700_000_000)]


def test_every_start_is_kept_once_however_often_it_arrives(uri: str, study: str) -> None:
    first = STUDY_BEGAN.model_copy(update={"start": start(0, "2.14.1")})
    resumed = STUDY_BEGAN.model_copy(update={"start": start(1, "2.14.0")})
    TrackingClient(uri, study).apply([first, first, StudyEnded(status="KILLED", timestamp_ms=1_700_000_000_500)])
    TrackingClient(uri, study).apply([first, resumed, resumed])
    kept = {name: tag for name, tag in read_study(uri, study).tags.items() if name.startswith(schema.START)}
    assert [StudyStart.model_validate_json(tag) for _, tag in sorted(kept.items())] == [first.start, resumed.start]


def test_a_start_is_small_enough_for_any_server() -> None:
    """MLflow before 3 keeps 5,000 characters of a tag."""
    assert len(this_start().model_dump_json()) < 1000
    assert this_start().versions["torch"].startswith("2.")
