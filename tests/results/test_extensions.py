"""What a table says of a study that was extended."""

from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from support.handwritten import T0, Writer

from study.errors import UserError
from study.results.read import read_study
from study.results.table import table_of
from study.storage import Change, Extension
from study.tracking import schema

pytest_plugins = ["support.handwritten"]
NewStudy = Callable[..., Writer]


def _extend(client: MlflowClient, study: Writer, seconds: int, key: str, before: str, after: str) -> None:
    change = Change(key=key, before=before, after=after)
    extension = Extension(timestamp_ms=T0 + 1000 * seconds, changes=(change,))
    client.set_tag(study.parent, f"{schema.EXTENSION}{extension.timestamp_ms}", extension.model_dump_json())


def _notes(uri: str, study: Writer) -> str:
    return "\n".join(table_of(read_study(uri, study.name)).notes)


def test_seeds_that_were_added_are_planned(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study(seeds="0,1")
    study.baseline({0: 0.02, 1: 0.021})
    study.arm({0: 0.019, 1: 0.02}, sigma=0.5)
    client.set_tag(study.parent, f"{schema.NOW}seeds", "0,1,2,3")
    rows = table_of(read_study(uri, study.name)).rows
    assert [(row.n, row.n_planned) for row in rows] == [(2, 4), (2, 4)]


def test_a_table_that_had_results_before_says_so(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study(seeds="0,1")
    study.baseline({0: 0.02, 1: 0.021})
    study.arm({0: 0.019, 1: 0.02}, sigma=0.5)
    _extend(client, study, 100, "seeds", "0, 1", "0, 1, 2")
    notes = _notes(uri, study)
    assert "Extended on 2023-11-14 22:15 UTC: seeds from 0, 1 to 0, 1, 2." in notes
    assert "The table had results before it was extended." in notes


def test_an_extension_before_any_result_is_harmless(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study(seeds="0,1")
    study.baseline({0: 0.02, 1: 0.021})
    study.arm({0: 0.019, 1: 0.02}, sigma=0.5)
    _extend(client, study, 0, "seeds", "0, 1", "0, 1, 2")
    notes = _notes(uri, study)
    assert "Extended on" in notes
    assert "had results" not in notes


def test_a_larger_budget_is_harmless(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    """It changes nothing that was planned, and is all that changes where seeds are added until every arm is decided."""
    study = new_study(seeds="0,1,2,3,4", seed_rounds="3,5")
    study.baseline({0: 0.02, 1: 0.021, 2: 0.022})
    study.arm({0: 0.019, 1: 0.02, 2: 0.021}, sigma=0.5)
    _extend(client, study, 100, "budget", "trainings 9", "trainings 99")
    notes = _notes(uri, study)
    assert "budget from trainings 9 to trainings 99" in notes
    assert "had results" not in notes


def test_points_confirmed_before_are_named(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study(confirm_seeds="0,1")
    study.baseline({0: 0.02, 1: 0.021}, stage="confirm")
    study.arm({0: 0.019, 1: 0.02}, stage="confirm", sigma=0.5)
    _extend(client, study, 5, "search.trials", "8", "20")
    study.trial(7, None, stage="search", sigma=0.3)
    study.arm({0: 0.018, 1: 0.02}, stage="confirm", sigma=0.3)
    notes = _notes(uri, study)
    (note,) = [line for line in notes.splitlines() if line.startswith("Confirmed before the search was extended")]
    assert "σ=0.5" in note
    assert "σ=0.3" not in note


def test_a_tag_that_is_no_extension_is_one_line(uri: str, client: MlflowClient, new_study: NewStudy) -> None:
    study = new_study()
    study.baseline({0: 0.02})
    client.set_tag(study.parent, f"{schema.EXTENSION}1", "{}")
    with pytest.raises(UserError, match=r"tag `noisy_study.extension.1` is `{}`, not an extension"):
        _notes(uri, study)
