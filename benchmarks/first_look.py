"""Judges the first look of the MNIST study with the arms that learn nothing in a family of their own.

Works on the rows of a table's JSON. In study C of the page on where noise helps, the students of one reading learn
almost nothing, and their errors differ by up to 15 points between seeds. The rule averages the spreads of a family, so
almost no other arm of that family was decided. Here the other arms are a family with their share of the 5 %, at the
level of the first look, over its seeds.

    python -m benchmarks.first_look
"""

from collections.abc import Sequence

from benchmarks.best_rate import judged_rows
from benchmarks.page import table, with_block
from benchmarks.where_noise_helps import PAGE, Row, arm_name, document_of, improvement
from study.results.looks import look_family
from study.results.rule import Judged

STUDY = "mnist"
ROUNDS = (5, 8, 12)
"""Seeds at the end of each round, as the study file has them."""
SMALLEST_EFFECT = 5.0
"""Per cent, as the study file has it."""
APART = "chan_2017"
"""The reading whose students learn almost nothing."""


def judged_apart(rows: Sequence[Row]) -> list[tuple[Row, Judged]]:
    """Every arm with noise but those of `APART`, with what the first look finds of it.

    Args:
        rows: of a table's JSON, with the errors of every seed.
    """
    noisy = [row for row in rows if row["method"] == "noisy_teacher"]
    arms = [_first_seeds(row) for row in noisy if row["reading"] != APART]
    baseline = _first_seeds(next(row for row in rows if row["verdict"] == "baseline"))
    family = look_family(1, ROUNDS, len(arms), len(arms) / len(noisy))
    return list(zip(arms, judged_rows(baseline, arms, family, SMALLEST_EFFECT), strict=True))


def _first_seeds(row: Row) -> Row:
    return {**row, "errors": {seed: error for seed, error in row["errors"].items() if int(seed) < ROUNDS[0]}}


def block(rows: Sequence[Row]) -> str:
    """The table of the page."""
    lines = []
    for row, judged in judged_apart(rows):
        errors = list(row["errors"].values())
        assert judged.improvement_percent is not None
        assert judged.improvement_interval is not None
        lines.append(
            (
                arm_name(row, with_alpha=True),
                judged.n,
                f"{100 * sum(errors) / len(errors):.2f}",
                improvement(judged.improvement_percent, judged.improvement_interval),
                judged.verdict.replace("_", " "),
            )
        )
    return table(("arm", "n", "test error %", "improvement over the baseline", "verdict"), lines)


def main() -> None:
    text = with_block(PAGE.read_text(encoding="utf-8"), "first-look", block(document_of(STUDY)["rows"]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
