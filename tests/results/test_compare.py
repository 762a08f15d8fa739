"""One table over several studies: one correction for all, and a refusal where baselines cannot be compared."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from support.handwritten import Writer
from support.ran import Ran, small_study

import study
from study.config import dump_study
from study.errors import UserError
from study.results.compare import compared
from study.results.read import TrackedStudy, read_study
from study.results.render import FORMATS, render
from study.results.table import table_of
from study.terminal.cli.compare import compare
from study.terminal.cli.table import TableFormat
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan
from study.tracking.provenance import datasets_of, provenance, this_start

pytest_plugins = ("support.handwritten", "support.ran")

BASELINE = {0: 0.0101, 1: 0.0094, 2: 0.0103, 3: 0.0098, 4: 0.0092}
Made = Callable[..., TrackedStudy]


def with_gain(gain: float) -> dict[int, float]:
    """Errors of an arm that is better by this share, with some spread."""
    return {seed: error * (1 - gain) + 0.0001 * (seed % 2) for seed, error in BASELINE.items()}


@pytest.fixture(scope="module")
def pair(client: MlflowClient, uri: str) -> list[TrackedStudy]:
    """Two studies of MNIST: three arms and two arms."""
    made = []
    for name, sigmas in (("one", (0.1, 0.2, 0.3)), ("two", (0.4, 0.5))):
        writer = Writer(client, f"compared-{name}", {"seeds": "0,1,2,3,4", "data_digest": "a" * 64})
        writer.baseline(BASELINE)
        for sigma in sigmas:
            writer.arm(with_gain(0.05 if sigma < 0.3 else 0.4), sigma=sigma, alpha=0.5)
        made.append(read_study(uri, writer.name))
    return made


def test_every_row_says_whose_it_is(pair: list[TrackedStudy]) -> None:
    table = compared(pair)
    assert [row.study for row in table.rows] == ["compared-one"] * 4 + ["compared-two"] * 3
    assert table.study == "compared-one, compared-two"


def test_the_correction_covers_the_arms_of_all_studies(pair: list[TrackedStudy]) -> None:
    """A family of 3 of 5 arms has 3 % of the 5 %: no p is smaller than alone, and intervals are wider."""
    together = compared(pair).rows
    alone = [row for each in pair for row in table_of(each).rows]
    assert len(together) == len(alone)
    for row, before in zip(together, alone, strict=True):
        if row.p_corrected is None or before.p_corrected is None:
            assert row.arm.role == "baseline"
            continue
        assert row.p_value == before.p_value
        assert row.improvement_percent == before.improvement_percent
        assert row.p_corrected >= before.p_corrected
        assert row.improvement_ci95 is not None
        assert before.improvement_ci95 is not None
        assert row.improvement_ci95[0] <= before.improvement_ci95[0]
    assert any(row.p_corrected != before.p_corrected for row, before in zip(together, alone, strict=True))


def test_shares_of_all_families_are_the_whole_level(pair: list[TrackedStudy]) -> None:
    """One p of a family of m of M arms is the p of the family alone times M / m, where the family's p is the larger."""
    together, alone = compared(pair).rows, [row for each in pair for row in table_of(each).rows]
    factors = {
        round(row.p_corrected / before.p_corrected, 3)
        for row, before in zip(together, alone, strict=True)
        if row.p_corrected is not None and before.p_corrected is not None and row.p_corrected < 1
        if row.p_corrected > 1.001 * before.p_corrected and before.p_corrected > 1.001 * (before.p_value or 0)
    }
    assert factors <= {round(5 / 3, 3), 2.5}
    assert factors


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_the_studies(pair: list[TrackedStudy], format: str) -> None:
    written = render(compared(pair), format)
    assert "compared-one" in written.replace("\\", "")
    assert "compared-two" in written.replace("\\", "")


def test_programs_read_the_study_of_a_row(pair: list[TrackedStudy]) -> None:
    rows = json.loads(render(compared(pair), "json"))["rows"]
    assert [row["study"] for row in rows][3:5] == ["compared-one", "compared-two"]
    assert pd.read_csv(io.StringIO(render(compared(pair), "csv")))["study"].nunique() == 2
    assert "study" not in json.loads(render(table_of(pair[0]), "json"))["rows"][0]


def test_notes_of_all_studies_stand_once(pair: list[TrackedStudy]) -> None:
    notes = compared(pair).notes
    assert "p corrected is for the 5 arms of all 2 studies" in notes[0]
    assert len(set(notes)) == len(notes)
    assert sum("for the 5 arms of this table" in note for note in notes) == 1
    assert any(note.startswith("compared-one: With these seeds") for note in notes)


def test_baselines_that_were_trained_otherwise_are_named(pair: list[TrackedStudy], client: MlflowClient) -> None:
    writer = Writer(client, "compared-long", {"data_digest": "a" * 64})
    writer.baseline(BASELINE, epochs=60)
    writer.arm(with_gain(0.1), sigma=0.1, alpha=0.5, epochs=60)
    table = compared([pair[0], read_study(client.tracking_uri, writer.name)])
    (note,) = [note for note in table.notes if "baselines of the student fc800 differ" in note]
    assert "in epochs:" in note
    assert "epochs" in table.settings
    assert not [note for note in compared(pair).notes if "baselines of the student" in note]


@pytest.mark.parametrize(
    ("data", "digest", "expected"),
    [
        ({"fraction": 0.1}, "b" * 64, "data.fraction is 1.0 in compared-one and 0.1 in compared-two"),
        ({"split_seed": 3}, "b" * 64, "data.split_seed is 0 in compared-one and 3 in compared-two"),
        (
            {"preprocess": ["subtract_pixel_mean"], "fraction": 0.5},
            "b" * 64,
            "data.fraction is 1.0 in compared-one and 0.5 in compared-two; data.preprocess is [] in compared-one",
        ),
        ({"name": "svhn"}, "b" * 64, "data.name is mnist in compared-one and svhn in compared-two"),
        ({}, "b" * 64, "the same data settings give different images (`data_digest` aaaaaaaa and bbbbbbbb)"),
        ({}, None, "the parent run of compared-two has no parameter `data_digest`"),
    ],
)
def test_other_data_are_refused_with_the_reason(
    pair: list[TrackedStudy], data: dict[str, Any], digest: str | None, expected: str
) -> None:
    settings = {"name": "mnist", "fraction": 1.0, "split_seed": 0, "preprocess": [], "path": "/here"}
    first = replace(pair[0], data=settings)
    params = {name: value for name, value in pair[1].params.items() if name != "data_digest"}
    other = replace(
        pair[1],
        data={**settings, "path": "/there", **data},
        params=params | ({} if digest is None else {"data_digest": digest}),
    )
    with pytest.raises(UserError) as refused:
        compared([first, other])
    assert str(refused.value).startswith("the studies compared-one and compared-two cannot be compared: ")
    assert expected in str(refused.value)


@pytest.mark.parametrize("rounds", ["seed_rounds", "confirm_rounds"])
def test_verdicts_of_looks_are_not_corrected_again(pair: list[TrackedStudy], rounds: str) -> None:
    in_rounds = replace(pair[1], params={**pair[1].params, rounds: "3,5,8"})
    with pytest.raises(UserError, match="study compared-two has seeds until decided"):
        compared([pair[0], in_rounds])


def test_images_in_another_folder_are_the_same_images(pair: list[TrackedStudy]) -> None:
    first, other = (replace(each, data={"path": path}) for each, path in zip(pair, ("/here", "/there"), strict=True))
    assert len(compared([first, other]).rows) == 7


def test_one_study_or_one_twice_is_refused(pair: list[TrackedStudy]) -> None:
    with pytest.raises(UserError, match="at least two studies"):
        compared(pair[:1])
    with pytest.raises(UserError, match="compared-one is named twice"):
        compared([pair[0], pair[0]])


def test_the_data_of_a_tracked_study_are_read_back(ran: Ran) -> None:
    """A study of half of the images, as a start tracks it: the message names `fraction`."""
    half = small_study(name="half", data={"name": "digits", "fraction": 0.5})
    start = this_start()
    params, tags = provenance(half, "b" * 64, start)
    used = datasets_of(half.data, ran.dataset)
    began = StudyBegan(study_file=dump_study(half), params=params, tags=tags, datasets=used, start=start)
    TrackingClient(ran.uri, "half").apply([began])
    assert ran.tracked.data["fraction"] == 1.0
    with pytest.raises(UserError, match=r"data.fraction is 1.0 in small and 0.5 in half"):
        compared([ran.tracked, read_study(ran.uri, "half")])


def test_command_and_notebook_give_the_table(
    pair: list[TrackedStudy],
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    names = [each.name for each in pair]
    compare(names, TableFormat.json)
    printed = json.loads(capsys.readouterr().out)
    assert [row["study"] for row in printed["rows"]] == study.compare(*names)["study"].tolist()
    assert study.compare(*names, tracking_uri=uri).attrs["notes"] == printed["notes"]
