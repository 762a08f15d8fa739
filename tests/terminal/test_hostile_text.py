"""Texts that somebody else wrote to the tracking server or to a job: they are printed, and do nothing else."""

import csv
import io
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from support.handwritten import Writer

from study.cluster import jobs as cluster
from study.results.read import read_study
from study.results.render import FORMATS, render
from study.results.status import study_status
from study.results.table import build_table
from study.terminal.cli import jobs
from study.terminal.cli.output import say, standard_output
from study.tracking import schema

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]

CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
"""A terminal that obeys it puts a command into the clipboard."""
HOSTILE = f"{CLIPBOARD}\x1b[2J\x9b31m\u202e[/bold] :boom: [red]x"
COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal width is set, as in a pipe: nothing is cut."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def hostile(uri: str, new_study: NewStudy) -> str:
    """A study with such texts in names and values of parameters and tags."""
    study = new_study(dataset=f"mnist{HOSTILE}")
    run = study.trial(0, 0.01, student="=HYPERLINK(1)", sigma=0.1, alpha=0.5)
    study.baseline({0: 0.02, 1: 0.03}, student=HOSTILE)
    study.arm({0: 0.01, 1: 0.02}, student=HOSTILE, sigma=0.5, alpha=0.5, invented=HOSTILE)
    for tag in ("mlflow.runName", f"{schema.VERSION}torch", schema.COMMIT):
        for each in (run, study.parent):
            study._client.set_tag(each, tag, HOSTILE)
    return study.name


@pytest.mark.parametrize("format", FORMATS)
def test_no_table_has_commands_for_a_terminal(uri: str, hostile: str, format: str) -> None:
    written = render(build_table(uri, hostile), format)
    assert "52;c;cm0gLXJmIH4" in written.replace("\\", "").replace("{]}", "]")
    assert not COMMANDS.search(written)


def test_what_was_read_has_no_commands_in_it(uri: str, hostile: str) -> None:
    tracked = read_study(uri, hostile)
    texts = [*tracked.trials.columns, *tracked.trials.astype(str).to_numpy().ravel()]
    assert not [
        text for text in (*texts, *tracked.params.values(), *tracked.tags.values()) if COMMANDS.search(str(text))
    ]


def test_a_status_shows_names_as_they_are(uri: str, hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    standard_output().print(study_status({hostile: uri}))
    shown = capsys.readouterr().out
    assert "[/bold] :boom: [red]x" in shown
    assert not COMMANDS.search(shown)


def test_a_spreadsheet_runs_no_cell_of_a_csv(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    formulas = ("=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-cmd", "@SUM(1)")
    for student in formulas:
        study.arm({0: 0.01}, student=student, sigma=0.5, alpha=0.5)
    lines = list(csv.DictReader(io.StringIO(render(build_table(uri, study.name), "csv"))))
    assert {line["student"] for line in lines} == {f"'{formula}" for formula in formulas}
    assert {line["alpha"] for line in lines} == {"0.5"}


def test_a_negative_number_in_a_csv_stays_one(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.baseline({0: 0.01, 1: 0.02})
    study.arm({0: 0.02, 1: 0.03}, sigma=0.5, alpha=0.5)
    lines = list(csv.DictReader(io.StringIO(render(build_table(uri, study.name), "csv"))))
    assert min(float(line["improvement_percent"] or 0) for line in lines) < 0


def job(**changes: Any) -> SimpleNamespace:
    details = {
        "submission_id": f"id{HOSTILE}",
        "metadata": {cluster.STUDY: f"name{HOSTILE}"},
        "status": f"FAILED{CLIPBOARD}",
        "driver_exit_code": None,
        "message": HOSTILE,
        "start_time": 1,
        "end_time": 2,
    }
    return SimpleNamespace(**details | changes)


@pytest.fixture
def cluster_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(
        list_jobs=lambda: [job()],
        get_job_info=lambda job_id: job(),
        get_job_logs=lambda job_id: f"epoch 1\n{HOSTILE}\rhidden\n",
    )
    monkeypatch.setattr(cluster, "_client", lambda address: client)


@pytest.mark.usefixtures("cluster_of_others")
@pytest.mark.parametrize("as_json", [True, False])
def test_a_list_of_jobs_shows_names_as_they_are(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    jobs.list_jobs("http://cluster", as_json)
    shown = capsys.readouterr().out
    assert "[/bold] :boom: [red]x" in shown
    assert not COMMANDS.search(shown)


@pytest.mark.usefixtures("cluster_of_others")
def test_a_log_of_a_job_is_lines_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    jobs.logs("id", "http://cluster")
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "epoch 1"
    assert shown.splitlines()[-1] == "hidden"
    assert not COMMANDS.search(shown)


def test_a_message_is_text_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    monkeypatch.setattr("study.terminal.cli.output.errors", Console(file=page, markup=False, emoji=False, width=200))
    say(HOSTILE)
    assert "[/bold] :boom: [red]x" in page.getvalue()
    assert not COMMANDS.search(page.getvalue())
