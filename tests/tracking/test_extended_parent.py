"""An extension on the parent run: its tag, the parameters that changed, the study file."""

from pathlib import Path

import mlflow
import pytest

from study.storage import Change, Extension
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.ended import ParentRecord, keep_parent, read_parent
from study.tracking.events import Event, StudyBegan, StudyExtended, StudyParams, StudyTags, parse_event

BEGAN = StudyBegan(study_file="seeds: [0]\n", params={"dataset": "digits", "seeds": "0"}, tags={})
AGAIN = StudyBegan(study_file="seeds: [0, 1]\n", params={"dataset": "other", "seeds": "0,1"}, tags={})
EXTENDED = StudyExtended(
    study_file="seeds: [0, 1]\n",
    extension=Extension(timestamp_ms=7, changes=(Change(key="seeds", before="0", after="0, 1"),)),
)
POINTS = [StudyParams(params={"confirm_points": count, "logits_digests": "{}"}) for count in ("1", "2")]
EVENTS: list[Event] = [BEGAN, POINTS[0], AGAIN, EXTENDED, POINTS[1]]


def _parent(uri: str) -> "mlflow.entities.Run":
    client = mlflow.MlflowClient(uri)
    found = TrackingClient(uri, "it").find_study()
    assert found is not None
    return client.get_run(found)


@pytest.mark.parametrize("again_from", range(len(EVENTS)))
def test_an_extension_is_tracked_once(own_store: str, tmp_path: Path, again_from: int) -> None:
    """Also where events are sent again: their order is kept, so the last value counts."""
    TrackingClient(own_store, "it").apply(EVENTS)
    TrackingClient(own_store, "it").apply(EVENTS[again_from:])
    parent = _parent(own_store)
    assert parent.data.params == {"dataset": "digits", "seeds": "0", "confirm_points": "1", "logits_digests": "{}"}
    now = {name: value for name, value in parent.data.tags.items() if name.startswith(schema.NOW)}
    assert now == {f"{schema.NOW}seeds": "0,1", f"{schema.NOW}confirm_points": "2"}
    assert parent.data.tags[f"{schema.EXTENSION}7"] == EXTENDED.extension.model_dump_json()
    file = mlflow.MlflowClient(own_store).download_artifacts(parent.info.run_id, schema.STUDY_FILE, str(tmp_path))
    assert Path(file).read_text() == EXTENDED.study_file


def test_a_server_that_lost_the_parent_gets_it_extended(own_store: str, tmp_path: Path) -> None:
    record = tmp_path / "parent.json"
    for event in EVENTS:
        keep_parent(record, event)
    kept = read_parent(record)
    assert kept is not None
    TrackingClient(own_store, "it").apply(kept.events())
    parent = _parent(own_store)
    assert (parent.data.params["seeds"], parent.data.params["confirm_points"]) == ("0,1", "2")
    assert parent.data.params["dataset"] == "digits"
    assert f"{schema.EXTENSION}7" in parent.data.tags


def test_a_record_keeps_an_extension_once() -> None:
    record = ParentRecord(began=BEGAN).after(EXTENDED).after(AGAIN).after(EXTENDED)
    assert record.extensions == (EXTENDED,)
    assert record.began.study_file == EXTENDED.study_file


def test_an_extension_waits_in_the_outbox_as_it_is() -> None:
    assert parse_event(EXTENDED.model_dump_json()) == EXTENDED


def test_tags_of_any_number_are_written(own_store: str) -> None:
    """A study of 150 arms has 150 verdicts, and MLflow takes 100 tags at once. Later values replace earlier ones."""
    tags = {f"{schema.VERDICT}grid-{number:04d}": "first" for number in range(150)}
    client = TrackingClient(own_store, "it")
    client.apply([BEGAN, StudyTags(tags=tags), StudyTags(tags={f"{schema.VERDICT}grid-0001": "second"})])
    there = {name: value for name, value in _parent(own_store).data.tags.items() if name.startswith(schema.VERDICT)}
    assert there == {**tags, f"{schema.VERDICT}grid-0001": "second"}
    record = ParentRecord(began=BEGAN).after(StudyTags(tags=tags)).after(AGAIN)
    assert record.began.tags == tags, "a server that lost the parent run gets the verdicts again"
