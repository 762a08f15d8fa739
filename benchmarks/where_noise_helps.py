"""Joins the tables of the studies on where noise helps into one page.

Works on the JSON that `noisy-study table NAME --format json` printed for each study or part of one, in
`docs/results/where-noise-helps`, and on the page `docs/results/where-noise-helps.md`. Every number comes from these
files. The page's own JSON has the rows that the page shows, with the errors of every seed.

    python -m benchmarks.where_noise_helps
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.page import ROOT, table, with_block
from study.noise.settings import READINGS

FOLDER = ROOT / "docs" / "results" / "where-noise-helps"
PAGE = ROOT / "docs" / "results" / "where-noise-helps.md"
PARTS = ("readings", "readings-h100", "learning-rate", "learning-rate-h100", "mnist", "data-1", "data-20", "long")
"""In the order of the page."""
SHARES = {"data-1": "1 %", "readings": "5 %", "data-20": "20 %", "long": "all"}
"""The studies that have the same arms on another share of the pictures."""

Row = dict[str, Any]


def document_of(part: str) -> dict[str, Any]:
    """The table of one study, with the rows that have all of their seeds, reading by reading after the baseline."""
    document: dict[str, Any] = json.loads((FOLDER / f"{part}.json").read_text(encoding="utf-8"))
    whole = [row for row in document["rows"] if row["n"] == row["n_planned"]]
    return {**document, "rows": sorted(whole, key=_place)}


def _place(row: Row) -> tuple[Any, ...]:
    """Where a row stands: the baseline, other training without noise, the readings in their order, other methods."""
    if row["method"] != "noisy_teacher":
        return row["verdict"] != "baseline", row["method"] != "logit_regression", 1, row["method"]
    reading = list(READINGS).index(row["reading"] or "equation_2")
    return True, True, 0, reading, row.get("sigma_unit") or "", row["alpha"], row["sigma"], row.get("lr") or 0.0


def block(part: str, rows: Sequence[Row]) -> str:
    """One study as a table."""
    head = ["arm", "size of the noise", "n", "test error %", "improvement", "p corr.", "verdict"]
    shown = table(head, [_cells(row, _has_alphas(rows)) for row in rows])
    return f"### {part}: improvement over the baseline\n\n{shown}\n\n{verdicts(rows)}.\n"


def _has_alphas(rows: Sequence[Row]) -> bool:
    """Whether the arms with noise have more than one α, so that their names have it."""
    return len({row["alpha"] for row in rows if row["method"] == "noisy_teacher"}) > 1


def _cells(row: Row, with_alpha: bool) -> list[str]:
    relative, corrected = row["relative_noise"], row["p_corrected"]
    interval = [100 * bound for bound in row["test_error_ci95"]]
    return [
        arm_name(row, with_alpha),
        "" if relative is None else f"{relative:.2f}",
        str(row["n"]),
        f"{100 * row['test_error_mean']:.2f} {_interval(interval, 2)}",
        "" if row["improvement_percent"] is None else improvement(row["improvement_percent"], row["improvement_ci95"]),
        "" if corrected is None else ("\\<0.001" if corrected < 0.001 else f"{corrected:.3f}"),
        row["verdict"].replace("_", " "),
    ]


def improvement(percent: float, interval: Sequence[float]) -> str:
    """An improvement and its interval, in per cent."""
    return f"{percent:+.1f}".replace("-", "−") + f" {_interval(interval, 1)} %"


def _interval(bounds: Sequence[float], digits: int) -> str:
    return "\\[" + ", ".join(f"{bound:.{digits}f}".replace("-", "−") for bound in bounds) + "\\]"


def arm_name(row: Row, with_alpha: bool = False) -> str:
    """What an arm is called in the tables of the page."""
    rate = f", learning rate {row['lr']:g}" if row.get("lr") is not None else ""
    if row["verdict"] == "baseline":
        return f"no noise (baseline){rate}"
    if row["method"] != "noisy_teacher":
        return f"{row['method'].replace('_', ' ')}{rate}"
    unit = " of the logits' size" if row.get("sigma_unit") == "logit_rms" else ""
    alpha = f", α = {row['alpha']:g}" if with_alpha else ""
    return f"`{row['reading'] or 'equation_2'}`, σ = {row['sigma']:g}{unit}{alpha}{rate}"


def verdicts(rows: Sequence[Row]) -> str:
    """How many arms with noise there are, by verdict."""
    noisy = [row for row in rows if row["method"] == "noisy_teacher"]
    counts = {name: sum(row["verdict"] == name for row in noisy) for name in ("better", "undecided", "worse")}
    detectable = [row["detectable_percent"] for row in noisy if row["detectable_percent"]]
    bounds = [bound for one in detectable for bound in (one if isinstance(one, list) else [one])]
    found = f". {_detected(min(bounds), max(bounds))} with a chance of 80 %" if bounds else ""
    arms = "1 arm" if len(noisy) == 1 else f"{len(noisy)} arms"
    counted = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{arms} with noise: {counted}{found}"


def _detected(low: float, high: float) -> str:
    """What would have been found. No improvement is above 100 %."""
    if low >= 100:
        return "No improvement would have been found"
    least, most = (f"{each:.1f}" if each < 10 else f"{each:.0f}" for each in (low, high))
    return f"An improvement of {least} {f'to {most} %' if high < 100 else '% or more'} would have been found"


def by_share(rows: Mapping[str, Sequence[Row]]) -> str:
    """The improvement of the arms with noise of the first study of `SHARES`, on each share of the pictures.

    A cell is empty where a study does not have the arm.

    Args:
        rows: of each study, by its name. Each study has its own baseline.
    """
    arms = {part: {_setting(row): row for row in rows[part] if row["method"] == "noisy_teacher"} for part in SHARES}
    baselines = [next(row for row in rows[part] if row["verdict"] == "baseline") for part in SHARES]
    head = ["arm", *(f"{share} of the pictures" if share != "all" else "all pictures" for share in SHARES.values())]
    errors = ["no noise (baseline): test error", *(f"{100 * row['test_error_mean']:.2f} %" for row in baselines)]
    cells = [
        [arm_name(row), *(_in_short(arms[part].get(setting)) for part in SHARES)]
        for setting, row in arms[next(iter(SHARES))].items()
    ]
    return table(head, [errors, *cells])


def _in_short(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{improvement(row['improvement_percent'], row['improvement_ci95'])} {row['verdict'].replace('_', ' ')}"


def _setting(row: Row) -> tuple[str, float, str | None]:
    """What two arms with the same noise have in common. Where noise multiplies the logits, σ is relative anyway."""
    reading = row["reading"] or "equation_2"
    return reading, row["sigma"], None if reading == "equation_2" else row.get("sigma_unit")


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    documents = {part: document_of(part) for part in PARTS}
    for part, document in documents.items():
        text = with_block(text, part, block(part, document["rows"]))
    text = with_block(text, "by-share", by_share({part: documents[part]["rows"] for part in SHARES}))
    PAGE.write_text(text, encoding="utf-8")
    PAGE.with_suffix(".json").write_text(json.dumps(list(documents.values()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
