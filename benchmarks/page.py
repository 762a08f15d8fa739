"""Puts what was measured where it is read: every number into a JSON file, a block of Markdown into a page.

Works on text and files. Knows nothing of what was measured, or how. A page holds the block between two marks:

    <!-- measured: NAME begin -->

    <!-- measured: NAME end -->
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PERFORMANCE = ROOT / "docs" / "performance.md"


def publish(page: Path, name: str, block: str, numbers: object) -> Path:
    """Store `numbers` as `benchmarks/NAME.json` and put `block` between the page's marks of that name.

    Args:
        page: a Markdown file that holds both marks.
        name: of the measurement.
        block: Markdown, without the marks.
        numbers: whatever the block was made from, for JSON.

    Returns:
        the JSON file.

    Raises:
        ValueError: the page has no such marks; nothing is written then.
    """
    text = with_block(page.read_text(encoding="utf-8"), name, block)
    file = _numbers(name)
    file.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    return file


def stored(name: str, otherwise: Any) -> Any:
    """The numbers that `publish` stored last under a name; `otherwise` where there are none."""
    file = _numbers(name)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else otherwise


def _numbers(name: str) -> Path:
    return ROOT / "benchmarks" / f"{name}.json"


def with_block(text: str, name: str, block: str) -> str:
    """The page's text with `block` between the marks of that name, in place of what stood there.

    Raises:
        ValueError: a mark is missing, or they stand the wrong way round.
    """
    begin, end = f"<!-- measured: {name} begin -->", f"<!-- measured: {name} end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"expected {begin} and after it {end}")
    return f"{before}{begin}\n\n{block.strip()}\n\n{end}{after}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown: the first column to the left, all others to the right."""
    marks = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, marks, *rows])


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """`median (lowest to highest)` of a measurement's rounds."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
