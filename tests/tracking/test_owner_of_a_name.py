"""A name belongs to one study, and a study to the folder of its last start: two folders never write to one study."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from study.errors import UserError
from study.storage import Ownership, StudyFolder
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.events import Event, StudyBegan, StudyEnded

BEGAN = StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={})


@pytest.fixture
def uri(own_store: str) -> str:
    return own_store


@pytest.fixture
def owner(tmp_path: Path) -> Ownership:
    return StudyFolder(tmp_path, "it").new_ownership()


def apply(uri: str, owner: Ownership, *events: Event) -> TrackingClient:
    client = TrackingClient(uri, "it", owner)
    client.apply(events or [BEGAN])
    return client


def test_the_server_knows_the_study_s_id_and_last_start(uri: str, owner: Ownership) -> None:
    parent = apply(uri, owner).find_study()
    server = MlflowClient(uri)
    experiment = server.get_experiment_by_name("it")
    assert experiment is not None
    assert experiment.tags[schema.STUDY_ID] == owner.study_id
    assert experiment.tags[schema.OWNER] == f"{owner.tokens[-1]} {owner.place}"
    assert server.get_run(str(parent)).data.tags[schema.STUDY_ID] == owner.study_id


def test_another_study_of_the_name_writes_nothing(uri: str, tmp_path: Path, owner: Ownership) -> None:
    apply(uri, owner)
    other = StudyFolder(tmp_path, "it").new_ownership()
    for event in (BEGAN, StudyEnded(status="FINISHED", timestamp_ms=1)):
        with pytest.raises(UserError, match="has another study named it") as refusal:
            apply(uri, other, event)
        assert "\n" not in str(refusal.value)
    server = MlflowClient(uri)
    experiment = server.get_experiment_by_name("it")
    assert experiment is not None
    (run,) = server.search_runs([experiment.experiment_id])
    assert run.info.status == "RUNNING"


def test_of_two_first_starts_at_once_one_gets_the_name(uri: str, tmp_path: Path, owner: Ownership) -> None:
    """Both have looked for the name and found it free."""
    folder = StudyFolder(tmp_path, "it")
    clients = [TrackingClient(uri, "it", each) for each in (owner, folder.new_ownership())]
    assert [client.find_study() for client in clients] == [None, None]
    first, second = clients
    first.apply([BEGAN])
    with pytest.raises(UserError, match="has another study named it"):
        second.apply([BEGAN])


def test_a_stale_copy_is_refused_with_what_to_do(uri: str, tmp_path: Path, owner: Ownership) -> None:
    """The original was resumed after the copy was made."""
    apply(uri, owner)
    resumed = owner.started_in(StudyFolder(tmp_path / "original", "it"))
    apply(uri, resumed)
    copy = owner.started_in(StudyFolder(tmp_path / "copy", "it"))
    with pytest.raises(UserError, match="after this folder was copied or restored") as refusal:
        apply(uri, copy)
    assert resumed.place in str(refusal.value)
    apply(uri, resumed)


def test_the_original_stops_writing_once_a_copy_has_gone_on(uri: str, tmp_path: Path, owner: Ownership) -> None:
    original = apply(uri, owner)
    apply(uri, owner.started_in(StudyFolder(tmp_path / "copy", "it")))
    with pytest.raises(UserError, match="after this folder was copied or restored"):
        original.apply([StudyEnded(status="FINISHED", timestamp_ms=1)])


def test_the_advice_for_a_stale_copy_works(uri: str, tmp_path: Path, owner: Ownership) -> None:
    apply(uri, owner.started_in(StudyFolder(tmp_path / "lost", "it")))
    copy = owner.started_in(StudyFolder(tmp_path / "copy", "it"))
    with pytest.raises(UserError, match=f"set the tag {schema.OWNER} on the experiment it"):
        apply(uri, copy)
    server = MlflowClient(uri)
    experiment = server.get_experiment_by_name("it")
    assert experiment is not None
    server.set_experiment_tag(experiment.experiment_id, schema.OWNER, "")
    apply(uri, copy)


def test_a_start_that_never_arrived_does_not_lock_its_folder_out(uri: str, tmp_path: Path, owner: Ownership) -> None:
    """The server has the token of an earlier start; the one after it ended in an outage."""
    apply(uri, owner)
    folder = StudyFolder(tmp_path, "it")
    apply(uri, owner.started_in(folder).started_in(folder))


def test_a_study_that_had_no_id_gets_one_and_keeps_it(uri: str, tmp_path: Path, owner: Ownership) -> None:
    TrackingClient(uri, "it").apply([BEGAN])
    apply(uri, owner)
    with pytest.raises(UserError, match="has another study named it"):
        apply(uri, StudyFolder(tmp_path, "it").new_ownership())
