"""Answers that are not MLflow's: a proxy's page, half a JSON, an empty object. Each is an outage."""

from collections.abc import Callable

import pytest
from support.answering import answering

from study.errors import TrackingUnavailable
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

BEGAN = StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={})
HTML = b"<html><body>the service is being updated</body></html>"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b""),
        (200, b"[]"),
        (200, b"null"),
        (200, b'{"experiment": 3}'),
        (200, b'{"experiment": {"experiment_id": "1"'),
        (200, HTML),
        (400, HTML),
        (404, HTML),
        (404, b"{}"),
        (502, HTML),
    ],
)
def test_an_answer_that_is_not_mlflow_s_is_an_outage(status: int, body: bytes) -> None:
    with answering(lambda path: (status, body)) as uri:
        asks: list[Callable[[TrackingClient], object]] = [lambda to: to.apply([BEGAN]), lambda to: to.find_study()]
        for ask in asks:
            with pytest.raises(TrackingUnavailable) as outage:
                ask(TrackingClient(uri, "it"))
            assert "\n" not in str(outage.value)
            assert uri in str(outage.value)
