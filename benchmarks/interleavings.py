"""Hits small studies by random interleavings of faults, and counts what it did to them.

    PYTHONPATH=tests python -m benchmarks.interleavings --count 200 --out benchmarks/interleavings.json

One interleaving is drawn from one seed (`tests/support/plans.py`), so `--count 1 --seed N` repeats the N-th alone; give
it another `--out`. Each has a line in `OUT.jsonl` as soon as it ended. A soak that was stopped continues where it was.
"""

import argparse
import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from support import plans

from benchmarks.kills import bound
from benchmarks.lanes import carry_out
from benchmarks.page import ROOT, table

LINES = 40
"""So many kinds of printed lines the summary has, the most frequent first."""


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What was injected and what became of the studies."""
    injected: Counter[str] = Counter()
    printed: Counter[str] = Counter()
    for line in lines:
        injected.update(line["injected"])
        printed.update(line["lines"])
    return {
        "commits": sorted({line["commit"] for line in lines}),
        "interleavings": len(lines),
        "verdicts": dict(Counter(line["verdict"] for line in lines)),
        "injected": {name: injected[name] for name in plans.DRAWN},
        **{name: sum(line[name] for line in lines) for name in ("trials", "lost", "doubled", "changed", "starts")},
        "tables that differ": sum(not line["same_table"] for line in lines),
        "seconds, median": statistics.median(line["seconds"] for line in lines) if lines else None,
        "wrong": [{name: line[name] for name in ("seed", "reason")} for line in lines if line["verdict"] == "wrong"],
        "said": [{name: line[name] for name in ("seed", "reason")} for line in lines if line["verdict"] == "said"],
        "printed": dict(printed.most_common(LINES)),
    }


def markdown(found: dict[str, Any]) -> str:
    """The table of the page: how often each operation was injected, and what that bounds if nothing was harmed."""
    wrong = f"{len(found['wrong'])} of {found['interleavings']} studies were harmed"
    rows = [
        (name, count, wrong if found["wrong"] else f"{100 * bound(count):.1f} %")
        for name, count in found["injected"].items()
    ]
    return table(("operation", "times injected", "harmful in at most"), rows)


def main() -> None:
    """Carry out the interleavings, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many interleavings")
    parser.add_argument("--lanes", type=int, default=2, help="how many at the same time")
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "interleavings.json")
    given = parser.parse_args()
    drawn = [plans.interleaving(seed) for seed in range(given.seed, given.seed + given.count)]
    found = summary(carry_out(drawn, given.lanes, given.out.with_suffix(".jsonl")))
    given.out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2, ensure_ascii=False))
    print(markdown(found))


if __name__ == "__main__":
    main()
