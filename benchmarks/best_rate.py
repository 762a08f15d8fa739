"""Compares arms of several learning rates with the baseline at its best rate, and with the baseline at their own rate.

Works on the rows of a table's JSON, and on the validation errors of its baselines. Study B of the page on where noise
helps asks whether noise only makes up for a learning rate that is too high. Then arms are better than the baseline of
their own rate, and none is better than the baseline at its best rate.

    python -m benchmarks.best_rate --read sqlite:///mlflow.db    # once, where the study ran: keeps validation errors
    python -m benchmarks.best_rate                               # the tables of the page, from the files

The arms of one rate are a family of the rule `guarded-dunnett`: a rate at which students collapse has a larger spread
than the others. Each family has its share of the 5 %. The best rate is chosen by the mean validation error.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.page import table, with_block
from benchmarks.where_noise_helps import FOLDER, PAGE, Row, improvement
from study.results.rule import LEVEL, Family, Judged, by_seed, judge

STUDY = "learning-rate"
VALIDATION = FOLDER / f"{STUDY}-validation.json"


@dataclass(frozen=True)
class Compared:
    """One arm, twice compared.

    Attributes:
        arm: its row.
        own: against the baseline at the arm's rate.
        best: against the baseline at the best rate.
    """

    arm: Row
    own: Judged
    best: Judged


def best_rate(validation: Mapping[float, Sequence[float]]) -> float:
    """The learning rate with the lowest mean validation error; the lower one of two that are equal."""
    return min(sorted(validation), key=lambda rate: statistics.fmean(validation[rate]))


def compared(rows: Sequence[Row], best: float) -> list[Compared]:
    """Every arm with noise, by rate.

    Args:
        rows: of a table's JSON; those of `logit_regression` are the baselines, one for each rate.
        best: the rate of the baseline that all arms are compared with.
    """
    baselines = {row["lr"]: row for row in rows if row["method"] == "logit_regression"}
    noisy = [row for row in rows if row["method"] == "noisy_teacher"]
    found = []
    for rate in sorted(baselines):
        if arms := [row for row in noisy if row["lr"] == rate]:
            family = Family(len(arms), LEVEL, len(arms) / len(noisy))
            own, other = (judged_rows(baselines[each], arms, family) for each in (rate, best))
            found += [Compared(*each) for each in zip(arms, own, other, strict=True)]
    return found


def judged_rows(
    baseline: Row, arms: Sequence[Row], family: Family, smallest_effect: float | None = None
) -> list[Judged]:
    """Judge rows of a table's JSON by the rule. An arm is compared over the seeds that it shares with the baseline."""
    errors = [{int(seed): float(error) for seed, error in row["errors"].items()} for row in (baseline, *arms)]
    seeds = sorted({seed for each in errors for seed in each})
    values = by_seed(seeds, errors)
    return judge(values[:, 0], values[:, 1:], family, smallest_effect)


def blocks(rows: Sequence[Row], validation: Mapping[float, Sequence[float]]) -> str:
    """The tables of the page: the baselines, and the arms."""
    best = best_rate(validation)
    baselines = sorted((row for row in rows if row["method"] == "logit_regression"), key=lambda row: float(row["lr"]))
    first = table(
        ("learning rate", "n", "validation error % of the baseline", "test error %"),
        [
            (
                f"{row['lr']:g}{' (best)' if row['lr'] == best else ''}",
                row["n"],
                f"{100 * statistics.fmean(validation[row['lr']]):.2f}",
                f"{100 * row['test_error_mean']:.2f}",
            )
            for row in baselines
        ],
    )
    second = table(
        ("arm", "n", "test error %", "against the baseline of its rate", "", f"against the baseline at {best:g}", ""),
        [
            (
                f"learning rate {each.arm['lr']:g}, `{each.arm['reading'] or 'equation_2'}`, σ = {each.arm['sigma']:g}",
                each.arm["n"],
                f"{100 * each.arm['test_error_mean']:.2f}",
                *judged_cells(each.own),
                *judged_cells(each.best),
            )
            for each in compared(rows, best)
        ],
    )
    return f"{first}\n\n{second}"


def judged_cells(judged: Judged) -> tuple[str, str]:
    """An arm's improvement with its interval, and its verdict. The first is empty where the interval is unbounded."""
    if judged.improvement_percent is None or judged.improvement_interval is None:
        return "", judged.verdict.replace("_", " ")
    return improvement(judged.improvement_percent, judged.improvement_interval), judged.verdict.replace("_", " ")


def kept_validation(tracking_uri: str) -> dict[float, list[float]]:
    """The validation errors of the baselines by learning rate, read off the tracking server."""
    from study.results.read import read_study
    from study.tracking import schema

    trials = read_study(tracking_uri, STUDY).completed()
    plain = trials[trials[f"params.{schema.METHOD}"] == "logit_regression"]
    found: dict[float, list[float]] = {}
    for rate, of_rate in plain.groupby("params.lr"):
        found[float(str(rate))] = [float(error) for error in of_rate[f"metrics.{schema.BEST_VAL_ERROR}"]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--read", metavar="URI", help="a tracking server that has the study")
    given = parser.parse_args()
    if given.read:
        VALIDATION.write_text(json.dumps(kept_validation(given.read), indent=1) + "\n", encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads((FOLDER / f"{STUDY}.json").read_text(encoding="utf-8"))["rows"]
    validation = {float(rate): errors for rate, errors in json.loads(VALIDATION.read_text(encoding="utf-8")).items()}
    text = with_block(PAGE.read_text(encoding="utf-8"), "best-rate", blocks(rows, validation))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
