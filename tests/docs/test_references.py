"""The pages of the reference in the repository are those that the code makes."""

import sys
from pathlib import Path

import pytest

from study import __all__ as functions
from study.terminal.cli import COMMANDS
from study.tracking import schema

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

from references import PAGES  # noqa: E402 - a script of the site


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes(name: str) -> None:
    kept = (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")
    assert kept == PAGES[name](), f"docs/reference/{name}.md is old: run `make reference`"


def test_no_other_page_lies_beside_them() -> None:
    assert {page.stem for page in (DOCS / "reference").iterdir()} == set(PAGES)


def test_every_command_and_function_has_a_section() -> None:
    commands, notebook = PAGES["commands"](), PAGES["functions"]()
    assert all(f"\n## noisy-study {name}\n" in commands for name, _ in COMMANDS)
    assert all(f"\n## {name}\n" in notebook for name in functions)


def test_every_name_of_the_schema_has_a_row() -> None:
    page = PAGES["tracking-names"]()
    names = [name for name, value in vars(schema).items() if name.isupper() and isinstance(value, str)]
    assert len(names) > 40
    assert all(f"| `{getattr(schema, name)}` | `{name}` |" in page for name in names)
