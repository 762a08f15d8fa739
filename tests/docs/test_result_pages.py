"""Every page of results has its table as JSON beside it, says by which rule it was judged, and both say the same."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from benchmarks import first_look, where_noise_helps
from benchmarks.page import with_block
from benchmarks.where_noise_helps import document_of
from study.results.rule import RULE
from study.results.verdicts import TESTED, Verdict

FOLDER = Path(__file__).parents[2] / "docs" / "results"
PAGES = sorted(FOLDER.glob("*.md"))
RULES = {RULE, f"{RULE}-looks", "paired-t-holm"}
"""Names of the rules that tables were ever judged by (docs/statistics.md)."""


MARK = ": improvement over the baseline\n"


@pytest.fixture(params=PAGES, ids=lambda page: page.stem)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def documents_of(page: Path) -> list[dict[str, Any]]:
    """The JSON of every table of a page; of several tables, it is a list."""
    made: dict[str, Any] | list[dict[str, Any]] = json.loads(page.with_suffix(".json").read_text("utf-8"))
    return made if isinstance(made, list) else [made]


def printed_tables(page: Path) -> list[list[dict[str, str]]]:
    """The cells of the page's tables of improvements, by their headings."""
    return [_rows(part.splitlines()) for part in page.read_text("utf-8").split(MARK)[1:]]


def _rows(lines: list[str]) -> list[dict[str, str]]:
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    head, _, *body = lines[start : lines.index("", start)]
    return [dict(zip(cells(head), cells(row), strict=True)) for row in body]


def cells(line: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text.replace("−", "-"))]


def test_there_are_pages() -> None:
    assert len(PAGES) >= 3


def test_a_page_has_its_json_and_names_its_rule(page: Path) -> None:
    text = page.read_text("utf-8")
    assert f"[{page.stem}.json]({page.stem}.json)" in text
    for document in documents_of(page):
        assert document["rule"] in RULES
        assert f"`{document['rule']}`" in text
        assert f"`{document['rule']}`" in (FOLDER.parent / "statistics.md").read_text("utf-8")


def test_the_json_has_the_numbers_of_the_page(page: Path) -> None:
    pairs = list(zip(documents_of(page), printed_tables(page), strict=True))
    assert pairs
    for document, printed in pairs:
        _same(document["rows"], printed)


def _same(rows: list[dict[str, Any]], printed: list[dict[str, str]]) -> None:
    assert len(rows) == len(printed) > 1
    for row, shown in zip(rows, printed, strict=True):
        assert row["verdict"] in get_args(Verdict)
        mean = [] if row["test_error_mean"] is None else [row["test_error_mean"]]
        errors = [error * 100 for error in [*mean, *(row["test_error_ci95"] or ())]]
        assert errors == pytest.approx(numbers(shown["test error %"]), abs=0.0051)
        improvement = [] if row["improvement_percent"] is None else [row["improvement_percent"]]
        assert [*improvement, *(row["improvement_ci95"] or ())] == pytest.approx(
            numbers(shown["improvement"]), abs=0.051
        )
        assert str(row["n"]) == shown["n"].split()[0]
        corrected = shown.get("p corr.", shown.get("p Holm", ""))
        if row["p_corrected"] is not None and corrected != "<0.001":
            assert [row["p_corrected"]] == pytest.approx(numbers(corrected), abs=0.00051)
        if row["verdict"] in TESTED:
            assert shown["verdict"].replace("within noise", "undecided").replace(" ", "_") == row["verdict"]


def test_seed_errors_are_there_unless_declared_lost(page: Path) -> None:
    """The JSON has the errors of the seeds, unless the page says that they are not known."""
    documents = documents_of(page)
    read_off = any(note.startswith("Read off the page") for document in documents for note in document["notes"])
    for row in (row for document in documents for row in document["rows"]):
        assert (row["errors"] is None) == read_off
        if row["errors"] and row["test_error_mean"] is not None:
            assert sum(row["errors"].values()) / len(row["errors"]) == pytest.approx(row["test_error_mean"])
    assert read_off == ("read from this page" in " ".join(page.read_text("utf-8").split()))


def test_the_page_of_the_readings_is_that_of_its_studies() -> None:
    """`python -m benchmarks.where_noise_helps` changes neither the page nor its JSON."""
    documents = [document_of(part) for part in where_noise_helps.PARTS]
    text = where_noise_helps.PAGE.read_text("utf-8")
    for part, document in zip(where_noise_helps.PARTS, documents, strict=True):
        assert with_block(text, part, where_noise_helps.block(part, document["rows"])) == text
    rows = {part: document["rows"] for part, document in zip(where_noise_helps.PARTS, documents, strict=True)}
    assert with_block(text, "by-share", where_noise_helps.by_share(rows)) == text
    assert documents_of(where_noise_helps.PAGE) == documents
    assert with_block(text, "first-look", first_look.block(rows[first_look.STUDY])) == text
