"""Writes the table of docs/reliability.md from what the fault tests noted down.

    FAULT_TALLY=faults.jsonl make test-faults
    .venv/bin/python -m benchmarks.reliability faults.jsonl docs/reliability.md

Works on lines of JSON, one a test. A fault of several tests is one row.
"""

import argparse
import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COUNTS = ("injected", "trials", "lost", "doubled", "changed")
HEAD = (
    "| fault | times injected | trials of the studies | trials lost | trials doubled | results changed |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |"
)


def table(lines: list[dict[str, Any]]) -> str:
    """The rows in Markdown, in the order in which the faults came first."""
    rows: dict[str, dict[str, int]] = {}
    for line in lines:
        row = rows.setdefault(line["fault"], dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            row[name] += line[name]
    body = [" | ".join([fault, *(str(row[name]) for name in COUNTS)]) for fault, row in rows.items()]
    return "\n".join([HEAD, *(f"| {row} |" for row in body)])


def main() -> None:
    """Put the table between the page's marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tally", type=Path, help="the file that FAULT_TALLY named")
    parser.add_argument("page", type=Path, help="where the table stands")
    given = parser.parse_args()
    lines = [json.loads(line) for line in given.tally.read_text(encoding="utf-8").splitlines()]
    before, _, rest = given.page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    given.page.write_text(f"{before}{BEGIN}\n\n{table(lines)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
