"""A tracking server that belongs to somebody else: it chooses no file of ours, and keeps nobody busy for ever."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.answering import answering

from study.errors import UserError
from study.results.history import read_histories
from study.results.read import read_study
from study.tracking import pages, schema
from study.tracking.artifacts import place_of
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

Answer = Callable[[str, int], dict[str, Any]]
"""The answer to a request, by its path and by how many requests there were for that path before."""

BEGAN = StudyBegan(study_file="name: it\n", params={"dataset": "digits"}, tags={})


class Asked:
    """A server that answers as it likes.

    Attributes:
        uri: its address.
        paths: how often each path was asked for.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.paths = uri, Counter[str]()


@contextmanager
def hostile(answer: Answer) -> Iterator[Asked]:
    asked = Asked("")

    def as_json(address: str) -> tuple[int, bytes]:
        path = urlsplit(address).path.rpartition("/mlflow/")[2]
        body = json.dumps(answer(path, asked.paths[path])).encode()
        asked.paths[path] += 1
        return 200, body

    with answering(as_json) as asked.uri:
        yield asked


def run(number: int, place: str, **metrics: float) -> dict[str, Any]:
    tags = {schema.KIND: "trial", schema.TRIAL_ID: f"grid-{number}"}
    info = {"run_id": f"{number:032x}", "run_uuid": f"{number:032x}", "experiment_id": "1", "artifact_uri": place}
    return {
        "info": {**info, "lifecycle_stage": "active", "status": "RUNNING", "start_time": 1},
        "data": {
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
            "metrics": [{"key": key, "value": value, "timestamp": 1, "step": number} for key, value in metrics.items()],
        },
    }


def experiment(place: str) -> dict[str, Any]:
    found = {"experiment_id": "1", "name": "it", "artifact_location": place, "lifecycle_stage": "active"}
    return {"experiment": found}


@pytest.mark.parametrize("permitted", range(4))
def test_a_server_writes_no_file_of_ours(tmp_path: Path, permitted: int) -> None:
    """It may name a place that is permitted first, and another one when it is asked again."""
    victim, proxied = str(tmp_path / "home"), "mlflow-artifacts:/1/artifacts"

    def answer(path: str, before: int) -> dict[str, Any]:
        place = proxied if before < permitted else victim
        return {
            "experiments/get-by-name": experiment(victim),
            "runs/search": {},
            "runs/create": {"run": run(1, victim)},
            "runs/get": {"run": run(1, place)},
        }.get(path, {})

    said: list[str] = []
    with hostile(answer) as asked:
        TrackingClient(asked.uri, "it", says=said.append).apply([BEGAN])
    assert asked.paths["runs/get"] > 0
    assert not list(tmp_path.iterdir())
    assert permitted or "a folder on this machine, which a server must not choose" in said[0]


def test_a_model_or_a_report_goes_to_no_file_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which a server must not choose"):
        place_of("http://127.0.0.1:1", str(tmp_path / "home"))


def _endless(path: str, before: int) -> dict[str, Any]:
    found = run(before, "mlflow-artifacts:/1", **{schema.VAL_ERROR: 0.5})
    return {
        "experiments/get-by-name": experiment("mlflow-artifacts:/1"),
        "runs/search": {"runs": [found], "next_page_token": f"token-{before}"},
        "metrics/get-history": {
            "metrics": [{"key": schema.VAL_ERROR, "value": 0.5, "timestamp": 1, "step": before}],
            "next_page_token": f"token-{before}",
        },
        "experiments/search": {
            "experiments": [experiment("x")["experiment"]],
            "next_page_token": f"token-{before}",
        },
    }.get(path, {})


READS: dict[str, Callable[[str], object]] = {
    "a study": lambda uri: read_study(uri, "it"),
    "what is tracked": lambda uri: TrackingClient(uri, "it").find_study(),
    "a history": lambda uri: read_histories(uri, ["1" * 32], schema.VAL_ERROR),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_pages_without_end_are_an_error(read: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 7)
    with hostile(_endless) as asked, pytest.raises(UserError, match="sends pages without end"):
        read(asked.uri)
    assert max(asked.paths.values()) == 7


@pytest.mark.parametrize("page", [{"runs": [run(1, "x")], "next_page_token": "same"}, {"next_page_token": "more"}])
def test_a_page_that_leads_nowhere_is_an_error(page: dict[str, Any]) -> None:
    """A token for the second time, or an empty page that is not the last."""

    def answer(path: str, before: int) -> dict[str, Any]:
        return page if path == "runs/search" else _endless(path, before)

    with hostile(answer) as asked, pytest.raises(UserError, match="sends pages without end"):
        read_study(asked.uri, "it")
    assert asked.paths["runs/search"] <= 2
