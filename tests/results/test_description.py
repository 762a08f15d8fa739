"""What MLflow's pages say of a study."""

from collections.abc import Callable

from support.handwritten import Writer

from study.results.description import LONGEST_NOTE, description
from study.results.figures.chosen import by_validation
from study.results.read import read_study
from study.results.table import table_of

pytest_plugins = ("support.handwritten",)


def _described(uri: str, study: Writer) -> str:
    tracked = read_study(uri, study.name)
    return description(table_of(tracked), by_validation(tracked), "7")


def test_verdict_table_and_notes_in_markdown(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(dataset="mnist")
    study.baseline({0: 0.100, 1: 0.110, 2: 0.120})
    study.arm({0: 0.090, 1: 0.103, 2: 0.118}, sigma=0.1, alpha=0.15)
    said = _described(uri, study)
    assert said.startswith("The only arm tested, noisy teacher, σ = 0.1, α = 0.15, ")
    assert "| logit regression (baseline) |" in said
    assert "(#/experiments/7/runs?" in said
    assert "- Every row has 3 seeds" in said


def test_a_long_table_is_cut_between_rows_and_says_so(uri: str, new_study: Callable[..., Writer]) -> None:
    study = new_study(dataset="mnist")
    study.baseline({0: 0.100})
    for number in range(60):
        study.arm({0: 0.090}, sigma=0.01 * (number + 1), alpha=0.15)
    said = _described(uri, study)
    assert len(said) <= LONGEST_NOTE
    rows = [line for line in said.splitlines() if line.startswith("| noisy teacher")]
    assert all(line.endswith(" |") for line in rows)
    assert f"{60 - len(rows)} more rows are in the table itself." in said
