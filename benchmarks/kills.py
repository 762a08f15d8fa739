"""Injects each fault of docs/reliability.md at seeded random moments, and counts what it did.

    PYTHONPATH=tests python -m benchmarks.kills --count 30 --out benchmarks/kills.json

A study takes one fault several times. An injection that could not happen (the study had ended) does not count, and
further studies follow until the count is reached. Each study has a line in `OUT.jsonl` as soon as it ended. A run that
was stopped continues where it was.

Interleavings (`benchmarks.interleavings`) inject five of the faults often enough: `--without-interleaved` leaves those
out.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support import plans
from support.plans import DRAWN, KILLS, START, Plan

from benchmarks.lanes import carry_out
from benchmarks.page import ROOT, table

ROUNDS = 6
"""So often further studies are drawn for injections that could not happen."""

HEAD = ("fault", "times injected", "trials lost", "trials doubled", "results changed", "at most, of injections")


def times_in_one(kind: str) -> int:
    """How often one study takes a fault: twice where each costs a start of the driver."""
    return 2 if START in KILLS[kind] else 3


def not_interleaved() -> list[str]:
    """The faults that no interleaving injects."""
    return [kind for kind in KILLS if plans.injections(kind) not in DRAWN]


def bound(injected: int, confidence: float = 0.95) -> float:
    """The highest rate of harm that no harm in so many injections leaves possible: 1 − (1 − confidence)^(1/n).

    This is the exact one-sided limit of Clopper and Pearson (1934) for a count of 0.
    """
    return 1.0 if injected == 0 else 1.0 - float((1.0 - confidence) ** (1.0 / injected))


def injected(lines: list[dict[str, Any]], kind: str) -> int:
    """How often a fault was injected."""
    return sum(line["injected"].get(plans.injections(kind), 0) for line in lines if line["kind"] == kind)


def carried_out(kinds: list[str], count: int, at_once: int, file: Path) -> list[dict[str, Any]]:
    """Studies of each kind until each fault was injected so often, or `ROUNDS` are over."""
    drawn: list[Plan] = []
    lines: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        for kind in kinds:
            missing, first = count - injected(lines, kind), sum(plan.kind == kind for plan in drawn)
            studies = -(-max(0, missing) // times_in_one(kind))
            drawn += [plans.kills(kind, first + number, times_in_one(kind)) for number in range(studies)]
        if len(lines) == len(drawn):
            break
        lines = carry_out(drawn, at_once, file)
    return lines


def summary(lines: list[dict[str, Any]], kinds: Sequence[str] = tuple(KILLS)) -> list[dict[str, Any]]:
    """One row for each fault; `bound` is absent where something was harmed."""
    rows = []
    for kind in kinds:
        mine = [line for line in lines if line["kind"] == kind]
        harm = {name: sum(line[name] for line in mine) for name in ("lost", "doubled", "changed")}
        wrong = [{"seed": line["seed"], "reason": line["reason"]} for line in mine if line["verdict"] != "same"]
        row = {"fault": kind, "studies": len(mine), "injected": injected(lines, kind), **harm, "wrong": wrong}
        rows.append(row if wrong else {**row, "bound": bound(row["injected"])})
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the page."""

    def cells(row: dict[str, Any]) -> list[object]:
        harmed = f"{len(row['wrong'])} of {row['studies']} studies were harmed"
        limit = f"{100 * row['bound']:.1f} %" if "bound" in row else harmed
        return [*(row[name] for name in ("fault", "injected", "lost", "doubled", "changed")), limit]

    return table(HEAD, map(cells, rows))


def main() -> None:
    """Inject the faults, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="how often each fault is injected, at least")
    parser.add_argument("--lanes", type=int, default=2, help="how many studies run at the same time")
    parser.add_argument("--only", choices=list(KILLS), help="one fault alone")
    parser.add_argument("--without-interleaved", action="store_true", help="leave out what interleavings inject")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "kills.json")
    given = parser.parse_args()
    every = not_interleaved() if given.without_interleaved else list(KILLS)
    kinds = [given.only] if given.only else every
    rows = summary(carried_out(kinds, given.count, given.lanes, given.out.with_suffix(".jsonl")), kinds)
    given.out.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(markdown(rows))


if __name__ == "__main__":
    main()
