"""How far a study is, as a person reads it in a terminal."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from support.handwritten import Writer

from study.results.status import study_status, watch_status

pytest_plugins = ("support.handwritten",)

NewStudy = Callable[..., Writer]


def shown(uri: str, *studies: str) -> list[list[str]]:
    """The words of every line, the headings first."""
    page = io.StringIO()
    Console(file=page, width=200).print(study_status(dict.fromkeys(studies, uri)))
    return [line.split() for line in page.getvalue().splitlines()]


def test_trials_are_counted_by_stage_and_epochs_summed(uri: str, searched: str) -> None:
    head, search, confirm = shown(uri, searched)
    assert head[:7] == ["study", "state", "stage", "completed", "pruned", "diverged", "epochs"]
    assert search[:7] == ["searched", "finished", "search", "3", "3", "1", "55"]
    assert confirm[:5] == ["searched", "finished", "confirm", "9", "135"]


def test_runs_that_tell_no_epochs_have_no_column_for_them(uri: str, mnist: str) -> None:
    head, *stages = shown(uri, mnist)
    assert "epochs" not in head
    assert [line[2] for line in stages] == ["grid", "search", "confirm"]


def test_epochs_stay_open_where_a_study_has_none(uri: str, mnist: str, searched: str) -> None:
    """Beside a study that reports its epochs, a study that does not leaves them empty."""
    head, *stages = shown(uri, mnist, searched)
    assert "epochs" in head
    assert ["mnist-table-1", "finished", "search", "2", "50.00%"] in [line[:5] for line in stages]


def test_thousands_of_epochs_can_be_read(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    study.trial(0, 0.1, epochs_trained=999)
    study.trial(1, 0.1, epochs_trained=2)
    assert shown(uri, study.name)[1][3:5] == ["2", "1,001"]


def test_a_study_without_trials_is_still_at_its_teachers(uri: str, new_study: NewStudy) -> None:
    study = new_study()
    assert shown(uri, study.name)[1] == [study.name, "finished", "teachers"]


@pytest.mark.usefixtures("searched")
def test_watching_ends_with_the_study(uri: str) -> None:
    page = io.StringIO()
    watch_status({"searched": uri}, Console(file=page, width=200), seconds=0)
    assert "confirm" in page.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_width(uri: str, new_study: NewStudy, width: int) -> None:
    """A narrow terminal cuts the name of the best trial and nothing else; this test's name is the study's."""
    study = new_study()
    study.trial(0, 0.1, epochs_trained=20)
    page = io.StringIO()
    Console(file=page, width=width).print(study_status({study.name: uri}))
    head, line = page.getvalue().splitlines()
    assert max(len(head), len(line)) <= width
    assert line.split()[:5] == [study.name, "finished", "grid", "1", "20"]
    assert line.split()[5].startswith("50.00%")
