"""Metric histories of many runs, from a real store."""

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from support.handwritten import T0, Writer

from study.errors import UserError
from study.results.history import read_histories
from study.tracking import schema

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]


def _log(client: MlflowClient, run_id: str, *points: tuple[int, float, int]) -> None:
    metrics = [Metric(schema.VAL_ERROR, value, T0 + after, step) for step, value, after in points]
    client.log_batch(run_id, metrics=metrics)


def test_a_history_has_its_values_by_step_in_ascending_order(
    new_study: NewStudy, client: MlflowClient, uri: str
) -> None:
    run = new_study().trial(0, 0.1, sigma=0.5, alpha=0.5)
    _log(client, run, (2, 0.3, 20), (1, 0.4, 10), (10, 0.2, 100))
    history = read_histories(uri, [run], schema.VAL_ERROR)[run]
    assert list(history.index) == [1, 2, 10]
    assert list(history) == [0.4, 0.3, 0.2]


def test_of_a_step_that_was_logged_again_the_later_value_counts(
    new_study: NewStudy, client: MlflowClient, uri: str
) -> None:
    run = new_study().trial(0, 0.1, sigma=0.5, alpha=0.5)
    _log(client, run, (1, 0.4, 50), (1, 0.9, 10))
    assert list(read_histories(uri, [run], schema.VAL_ERROR)[run]) == [0.4]


def test_more_runs_than_are_asked_for_at_once_all_get_their_own(
    new_study: NewStudy, client: MlflowClient, uri: str
) -> None:
    study = new_study()
    runs = [study.trial(seed, 0.1, sigma=0.5, alpha=0.5) for seed in range(20)]
    for seed, run in enumerate(runs):
        _log(client, run, (1, seed / 100, 1))
    histories = read_histories(uri, runs, schema.VAL_ERROR)
    assert [histories[run].iloc[0] for run in runs] == [seed / 100 for seed in range(20)]


def test_missing_run_or_metric_is_left_out(new_study: NewStudy, uri: str) -> None:
    """A run that does not have the metric, or does not exist, is left out."""
    run = new_study().trial(0, 0.1, sigma=0.5, alpha=0.5)
    assert read_histories(uri, [run, "f" * 32], schema.VAL_ERROR) == {}
    assert read_histories(uri, [], schema.VAL_ERROR) == {}


def test_a_server_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # a port of our own that nobody listens on
        with pytest.raises(UserError, match="does not answer"):
            read_histories(f"http://127.0.0.1:{closed.getsockname()[1]}", ["f" * 32], schema.VAL_ERROR)


def test_a_server_that_misses_a_request_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    requests, over = [], threading.Event()

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            if len(requests) == 1:
                over.wait()
                return
            answer = {"metrics": [{"key": schema.VAL_ERROR, "value": 0.5, "timestamp": T0, "step": 1}]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            history = read_histories(f"http://127.0.0.1:{server.server_port}", ["f" * 32], schema.VAL_ERROR)
        finally:
            over.set()
            server.shutdown()
    assert list(history["f" * 32]) == [0.5]
    assert len(requests) == 2


def test_error_out_of_range_is_named_with_its_run(new_study: NewStudy, client: MlflowClient, uri: str) -> None:
    """An error outside 0 to 1 in a history is named with its run."""
    run = new_study().trial(0, 0.1, sigma=0.5, alpha=0.5)
    _log(client, run, (1, 7.27, 10), (2, 0.2, 20))
    with pytest.raises(UserError, match=f"run {run}: metric `val_error` is 7.27; expected a share"):
        read_histories(uri, [run], schema.VAL_ERROR)
