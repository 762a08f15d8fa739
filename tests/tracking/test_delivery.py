"""A server that lost what it once confirmed gets it again: from the journal's runs, the parent run first."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from study.errors import UserError
from study.records import EpochRecord, TrainingSummary
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.delivery import Delivery
from study.tracking.ended import EndedRun, ParentRecord
from study.tracking.events import EpochsPassed, Event, RunBegan, RunEnded, StudyBegan, StudyEnded, StudyParams

T0 = 1_700_000_000_000
BEGAN = StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={"version": "1"})
FINISHED = StudyEnded(status="FINISHED", timestamp_ms=T0 + 90_000)
EPOCHS = tuple(
    EpochRecord(
        epoch=number,
        train_loss=1 / number,
        val_error=0.5 / number,
        images_per_second=100.0,
        seconds=1.0,
        timestamp_ms=T0 + 1000 * number,
    )
    for number in (1, 2, 3)
)


def run(number: int, sigma: str = "0.8", at: int = T0) -> EndedRun:
    params = {"method": "noisy_teacher", "sigma": sigma, "seed": str(number)}
    trial_id = f"grid-{number:04d}"
    began = RunBegan(
        trial_id=trial_id, kind="trial", role="arm", stage="grid", name=trial_id, params=params, timestamp_ms=at
    )
    summary = TrainingSummary(outcome="completed", epochs=3, best_val_error=0.1, train_seconds=3.0, test_error=0.2)
    ended = RunEnded(trial_id=trial_id, summary=summary, timestamp_ms=at + 5000, params=params)
    return EndedRun(began=began, ended=ended, epochs=EPOCHS)


def events(of: EndedRun) -> list[Event]:
    return [of.began, EpochsPassed(trial_id=of.began.trial_id, epochs=of.epochs), of.ended]


@pytest.fixture
def uri(own_store: str) -> str:
    return own_store


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def delivery(said: list[str]) -> Callable[..., Delivery]:
    """A process that starts with these runs in its journal."""

    def started(uri: str, *ended: EndedRun) -> Delivery:
        client = TrackingClient(uri, "it", parent=ParentRecord(began=BEGAN).events, says=said.append)
        made = Delivery(client, lambda: ended, lambda run: run.epochs, said.append)
        made.waiting = lambda: 0
        return made

    return started


def runs(uri: str, kind: str = "trial") -> dict[str, Run]:
    server = MlflowClient(uri)
    experiment = server.get_experiment_by_name("it")
    assert experiment is not None
    found = server.search_runs([experiment.experiment_id], f"tags.`{schema.KIND}` = '{kind}'")
    by_id = {run.data.tags.get(schema.TRIAL_ID, "study"): run for run in found}
    assert len(by_id) == len(found), "a run is there twice"
    return by_id


def complete(uri: str, *ended: EndedRun) -> None:
    """Assert that the server has these runs, each once and whole."""
    server, found = MlflowClient(uri), runs(uri)
    (parent,) = runs(uri, "study").values()
    assert set(found) == {each.began.trial_id for each in ended}
    for each in ended:
        there = found[each.began.trial_id]
        assert there.data.params == each.began.params
        assert there.data.tags[schema.OUTCOME] == "completed"
        assert there.data.tags[schema.PARENT] == parent.info.run_id
        assert there.data.metrics[schema.TEST_ERROR] == 0.2
        history = server.get_metric_history(there.info.run_id, schema.VAL_ERROR)
        assert [metric.step for metric in history] == [1, 2, 3]


def test_a_restored_backup_gets_the_trials_it_lacks(
    uri: str, workspace: Path, delivery: Callable[..., Delivery], said: list[str]
) -> None:
    one, two, three = run(1), run(2), run(3)
    TrackingClient(uri, "it").apply([BEGAN, *events(one)])
    shutil.copy(workspace / "mlflow.db", workspace / "backup.db")
    TrackingClient(uri, "it").apply([*events(two), *events(three)])
    backup = f"sqlite:///{workspace / 'backup.db'}"
    delivery(backup, one, two, three)([BEGAN])
    complete(backup, one, two, three)
    assert said == [
        "2 trials that ended (grid-0002, grid-0003) are missing from the tracking server or differ there; delivering "
        "again"
    ]


@pytest.mark.parametrize("delivered", [0, 1, 2])
def test_a_backup_that_is_restored_unnoticed_loses_no_epoch(
    uri: str, workspace: Path, delivery: Callable[..., Delivery], delivered: int
) -> None:
    """The server restarts with it between two requests, so none fails. The trial runs on."""
    one = run(1)
    process = delivery(uri, one)
    process.waiting = lambda: 500  # the journal is read at the finish, when the trial has ended
    each_by_itself = [EpochsPassed(trial_id="grid-0001", epochs=(epoch,)) for epoch in EPOCHS]
    process([BEGAN, one.began, *each_by_itself[:delivered]])
    with closing(sqlite3.connect(workspace / "mlflow.db")) as store, closing(sqlite3.connect(":memory:")) as backup:
        store.backup(backup)
        process([each_by_itself[delivered]])
        backup.backup(store)
    process([*each_by_itself[delivered + 1 :], one.ended])
    process([FINISHED])
    complete(uri, one)


def test_a_backup_from_the_middle_of_an_end_gets_the_status(
    uri: str, delivery: Callable[..., Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup has the outcome of the run, and not yet its status. The outbox is lost, too."""
    one = run(1)
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_terminated", lambda *_, **__: None)
        TrackingClient(uri, "it").apply([BEGAN, *events(one)])
    assert runs(uri)["grid-0001"].info.status == "RUNNING"
    delivery(uri, one)([FINISHED])
    complete(uri, one)
    assert runs(uri)["grid-0001"].info.status == "FINISHED"


def test_an_emptied_server_gets_everything_at_a_finish(uri: str, delivery: Callable[..., Delivery]) -> None:
    """All but the end of the study was confirmed by the server that is now empty."""
    one, two = run(1), run(2)
    delivery(uri, one, two)([FINISHED])
    complete(uri, one, two)
    (parent,) = runs(uri, "study").values()
    assert (parent.info.status, parent.data.params["dataset"]) == ("FINISHED", "digits")


@pytest.mark.parametrize("lost", ["parent", "trial", "both"])
def test_deleted_runs_are_there_again_at_the_finish(uri: str, delivery: Callable[..., Delivery], lost: str) -> None:
    one, two = run(1), run(2)
    process = delivery(uri, one, two)
    process([BEGAN, *events(one), *events(two)])
    server = MlflowClient(uri)
    if lost in ("parent", "both"):
        server.delete_run(runs(uri, "study")["study"].info.run_id)
    if lost in ("trial", "both"):
        server.delete_run(runs(uri)["grid-0002"].info.run_id)
    process([FINISHED])
    complete(uri, one, two)
    assert runs(uri, "study")["study"].info.status == "FINISHED"


def test_a_check_alone_brings_back_what_is_missing(uri: str, delivery: Callable[..., Delivery]) -> None:
    """What `sync` does when no event waits."""
    one = run(1)
    process = delivery(uri, one)
    process.check()
    assert (process.again, process.is_checked) == (3, True)
    complete(uri, one)
    process.check()
    assert process.again == 3


def test_a_study_is_not_finished_where_runs_stay_away(uri: str, delivery: Callable[..., Delivery]) -> None:
    """A server that confirms everything and keeps nothing."""
    process = delivery(uri, run(1))
    process([BEGAN])
    process.client.missing = lambda ended: list(ended)  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"1 trial that ended \(grid-0001\) is missing .* although"):
        process([FINISHED])
    assert runs(uri, "study")["study"].info.status == "RUNNING"


def test_events_that_still_wait_are_not_taken_for_missing(
    uri: str, delivery: Callable[..., Delivery], said: list[str]
) -> None:
    process = delivery(uri, run(1))
    process.waiting = lambda: 500
    process([BEGAN])
    assert (said, process.is_checked) == ([], False)


def test_a_result_never_joins_a_run_of_other_parameters(uri: str, delivery: Callable[..., Delivery]) -> None:
    """The journal was rolled back, and the search proposed another σ under the same number."""
    before, now = run(5, "0.84"), run(5, "1.05", T0 + 60_000)
    delivery(uri, before)([BEGAN, *events(before)])
    process = delivery(uri, now)
    process([now.ended])  # the event of its beginning is lost
    process([FINISHED])
    complete(uri, now)


def test_a_new_training_of_a_number_replaces_its_run(
    uri: str, delivery: Callable[..., Delivery], said: list[str]
) -> None:
    before, now = run(5, "0.84"), run(5, "1.05", T0 + 60_000)
    TrackingClient(uri, "it").apply([BEGAN, *events(before)])
    delivery(uri, now)([BEGAN, *events(now), FINISHED])
    complete(uri, now)
    assert len([line for line in said if "has other parameters now" in line]) == 1


def test_an_old_outbox_does_not_replace_newer_runs(uri: str, delivery: Callable[..., Delivery]) -> None:
    before, now = run(5, "0.84"), run(5, "1.05", T0 + 60_000)
    delivery(uri, now)([BEGAN, *events(now)])
    delivery(uri, now)([*events(before), FINISHED])
    complete(uri, now)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_event_of_a_trial_is_made_up_for(uri: str, delivery: Callable[..., Delivery], lost: int) -> None:
    one = run(1)
    left = [event for place, event in enumerate(events(one)) if place != lost]
    delivery(uri, one)([BEGAN, *left, FINISHED])
    complete(uri, one)


def test_the_parent_s_record_has_all_that_was_tracked_of_it() -> None:
    record = ParentRecord(began=BEGAN).after(StudyParams(params={"confirm_points": "3", "dataset": "other"}))
    record = record.after(FINISHED)
    assert record.began.params == {"confirm_points": "3", "dataset": "digits"}
    assert record.events()[-1] == FINISHED
    resumed = record.after(BEGAN)
    assert resumed.ended is None
    assert resumed.began.params == {"confirm_points": "3", "dataset": "digits"}
