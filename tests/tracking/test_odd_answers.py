"""Answers that are not MLflow's: a proxy's page, half a JSON, an empty object. Each is an outage."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from study.errors import TrackingUnavailable
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

BEGAN = StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={})
HTML = b"<html><body>the service is being updated</body></html>"


@contextmanager
def answering_all(status: int, body: bytes) -> Iterator[str]:
    """A server with one answer for every request."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
    with answering_all(status, body) as uri:
        asks: list[Callable[[TrackingClient], object]] = [lambda to: to.apply([BEGAN]), lambda to: to.find_study()]
        for ask in asks:
            with pytest.raises(TrackingUnavailable) as outage:
                ask(TrackingClient(uri, "it"))
            assert "\n" not in str(outage.value)
            assert uri in str(outage.value)
