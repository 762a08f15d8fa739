"""Paths of source files that the pages name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.compile(r"`((?:study|models|search_spaces|tests|benchmarks|docker|docs|examples)/[A-Za-z0-9_./-]*)`")
"""A path in code quotes, from the root of the repository."""


def _named(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return set(NAMED.findall(re.sub(r"Save it as `[^`]+`", "", text)))  # a file that the reader writes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_source_path_a_page_names_exists(page: Path) -> None:
    assert not [path for path in sorted(_named(page)) if not (ROOT / path).exists()]


def test_the_architecture_page_names_the_files_of_the_chain() -> None:
    named = _named(ROOT / "docs/architecture.md")
    assert {"study/distill/losses.py", "study/running/stage.py", "study/tracking/outbox.py"} <= named
