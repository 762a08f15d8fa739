"""A tracking server that keeps its artifacts in an object store: S3's protocol, spoken by a real server."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from support.mlflow_server import mlflow_server

from study.results.artifacts import read_study_file
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

BUCKET = "studies"


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an object store with a bucket; the environment has what it takes to use it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket=BUCKET)
    yield f"http://{host}:{port}"
    server.stop()


def test_study_file_is_kept_in_the_object_store(object_store: str, tmp_path: Path) -> None:
    """A study's file lies in the object store and is read back."""
    store, artifacts = f"sqlite:///{tmp_path / 'mlflow.db'}", f"s3://{BUCKET}/artifacts"
    with mlflow_server(store, tmp_path, artifacts) as server:
        client = TrackingClient(server.uri, "it")
        client.apply([StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={})])
        run = client.find_study()
        assert run is not None
        assert read_study_file(server.uri, run) == "name: it\n"
    stored = boto3.client("s3", endpoint_url=object_store).list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [each["Key"].rsplit("/", 1)[1] for each in stored] == ["study.yaml"]
