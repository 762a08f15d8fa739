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


def test_the_chain_to_the_loss_names_functions_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| +\d+ \| (.*?) \| (.*?) \|", page, flags=re.M)
    assert len(rows) >= 10
    for files, names in rows:
        sources = [(ROOT / file).read_text(encoding="utf-8") for file in re.findall(r"`([^`]+)`", files)]
        for name in re.findall(r"`([^`]+)`", names):
            for part in name.split("."):
                defined = re.compile(rf"^ *(?:def|class) {part}\b|^    {part}:", flags=re.M)
                assert any(map(defined.search, sources)), f"{name} is not in {files}"
