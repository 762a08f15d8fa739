"""Joins the tables of the studies on where noise helps into one page.

Works on the JSON that `noisy-study table NAME --format json` printed for each study or part of one, in
`docs/results/where-noise-helps`, and on the page `docs/results/where-noise-helps.md`. Every number comes from these
files.

    python -m benchmarks.where_noise_helps
"""

import json
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.page import ROOT, table, with_block

FOLDER = ROOT / "docs" / "results" / "where-noise-helps"
PAGE = ROOT / "docs" / "results" / "where-noise-helps.md"

Row = dict[str, Any]


def rows_of(part: str) -> list[Row]:
    """The rows of one study that have all of their seeds; the baseline comes first."""
    document = json.loads((FOLDER / f"{part}.json").read_text(encoding="utf-8"))
    trained = [row for row in document["rows"] if row["n"] == row["n_planned"]]
    return sorted(trained, key=lambda row: (row["verdict"] != "baseline", row["method"] != "logit_regression"))


def block(rows: Sequence[Row]) -> str:
    """One study as a table."""
    head = ["arm", "size of the noise", "n", "test error %", "improvement %", "95 % interval", "verdict"]
    return table(head, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    relative, improvement = row["relative_noise"], row["improvement_percent"]
    interval = row["improvement_ci95"]
    return [
        _arm(row),
        "" if relative is None else f"{relative:.2f}",
        str(row["n"]),
        f"{100 * row['test_error_mean']:.2f}",
        "" if improvement is None else f"{improvement:+.1f}",
        "" if not interval else f"{interval[0]:.1f} to {interval[1]:.1f}",
        row["verdict"].replace("_", " "),
    ]


def _arm(row: Row) -> str:
    rate = f", learning rate {row['lr']:g}" if row.get("lr") is not None else ""
    if row["verdict"] == "baseline":
        return f"no noise (baseline){rate}"
    if row["method"] != "noisy_teacher":
        return f"{row['method'].replace('_', ' ')}{rate}"
    unit = " of the logits' size" if row.get("sigma_unit") == "logit_rms" else ""
    return f"`{row['reading'] or 'equation_2'}`, σ = {row['sigma']:g}{unit}{rate}"


def verdicts(rows: Sequence[Row]) -> str:
    """How many arms with noise there are, by verdict."""
    noisy = [row for row in rows if row["method"] == "noisy_teacher"]
    counts = {name: sum(row["verdict"] == name for row in noisy) for name in ("better", "undecided", "worse")}
    detectable = [row["detectable_percent"] for row in noisy if row["detectable_percent"]]
    least = [one[0] if isinstance(one, list) else one for one in detectable]
    found = f"; with a chance of 80 % it finds {statistics.median(least):.0f} %" if least else ""
    return f"{len(noisy)} arms with noise: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + found


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in sorted(path.stem for path in FOLDER.glob("*.json")):
        rows = rows_of(part)
        text = with_block(text, part, f"{block(rows)}\n\n{verdicts(rows)}.")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
