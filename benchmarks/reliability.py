"""Writes the table of docs/reliability.md from what the fault tests noted down.

    FAULT_TALLY=faults.jsonl make test-faults
    .venv/bin/python -m benchmarks.reliability faults.jsonl

Works on lines of JSON, one a test. A fault of several tests is one row.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.page import ROOT, table, with_block

PAGE = ROOT / "docs" / "reliability.md"
COUNTS = ("injected", "trials", "lost", "doubled", "changed")
HEAD = ("fault", "times injected", "trials of the studies", "trials lost", "trials doubled", "results changed")


def rows(lines: list[dict[str, Any]]) -> list[list[object]]:
    """A fault's name and its counts, in the order in which the faults came first."""
    faults: dict[str, dict[str, int]] = {}
    for line in lines:
        row = faults.setdefault(line["fault"], dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            row[name] += line[name]
    return [[fault, *row.values()] for fault, row in faults.items()]


def main() -> None:
    """Put the table between the page's marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tally", type=Path, help="the file that FAULT_TALLY named")
    given = parser.parse_args()
    lines = [json.loads(line) for line in given.tally.read_text(encoding="utf-8").splitlines()]
    text = with_block(PAGE.read_text(encoding="utf-8"), "faults", table(HEAD, rows(lines)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
