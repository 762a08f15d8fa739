"""Judges the first look of the MNIST study with the arms that learn nothing in a family of their own.

Works on the rows of a table's JSON. In study C of the page on where noise helps, the students of one reading learn
almost nothing, and their errors differ by up to 15 points between seeds. The rule averages the spreads of a family, so
almost no other arm of that family was decided. Here the other arms are a family with their share of the 5 %, at the
level of the first look, over its seeds.

    python -m benchmarks.first_look
"""

import statistics
from collections.abc import Sequence

import yaml

from benchmarks.best_rate import judged_cells, judged_rows
from benchmarks.page import table, with_block
from benchmarks.where_noise_helps import FOLDER, PAGE, Row, arm_name, document_of
from study.planning.rounds import rounds_of
from study.results.looks import look_family
from study.results.rule import Judged

STUDY = "mnist"
APART = "chan_2017"
"""The reading whose students learn almost nothing."""

_FILE = yaml.safe_load((FOLDER / f"{STUDY}.yaml").read_text(encoding="utf-8"))
_ROUNDS = rounds_of(_FILE["seeds"]["first"], _FILE["seeds"]["at_most"])


def judged_apart(rows: Sequence[Row]) -> list[tuple[Row, Judged]]:
    """Every arm with noise but those of `APART`, with what the first look finds of it.

    Args:
        rows: of a table's JSON, with the errors of every seed.

    Returns:
        rows that have the errors of the first look only, each with its verdict.
    """
    noisy = [row for row in rows if row["method"] == "noisy_teacher"]
    arms = [_first_seeds(row) for row in noisy if row["reading"] != APART]
    baseline = _first_seeds(next(row for row in rows if row["verdict"] == "baseline"))
    family = look_family(1, _ROUNDS, len(arms), len(arms) / len(noisy))
    return list(zip(arms, judged_rows(baseline, arms, family, _FILE["smallest_effect"]), strict=True))


def _first_seeds(row: Row) -> Row:
    return {**row, "errors": {seed: error for seed, error in row["errors"].items() if int(seed) < _ROUNDS[0]}}


def block(rows: Sequence[Row]) -> str:
    """The table of the page."""
    head = ("arm", "n", "test error %", "improvement over the baseline", "verdict")
    return table(
        head,
        [
            (
                arm_name(row, with_alpha=True),
                judged.n,
                f"{100 * statistics.fmean(row['errors'].values()):.2f}",
                *judged_cells(judged),
            )
            for row, judged in judged_apart(rows)
        ],
    )


def main() -> None:
    text = with_block(PAGE.read_text(encoding="utf-8"), "first-look", block(document_of(STUDY)["rows"]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
