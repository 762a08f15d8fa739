"""The site: pages in Markdown, a reference of the study file from its models, of the commands from the command line.

Build it with `make docs`; a warning is an error.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from study_file_reference import reference  # noqa: E402 - beside this file

project = "noisy-teacher-study"
author = "the noisy-teacher-study authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "noisy-teacher-study"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

GENERATED = HERE / "generated"


def _commands() -> str:
    command = [sys.executable, "-m", "typer", "study.terminal.cli", "utils", "docs", "--name", "noisy-study"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def setup(app: object) -> None:
    """Write the pages that code makes."""
    GENERATED.mkdir(exist_ok=True)
    for name, text in (("study-file.md", reference()), ("command-line.md", _commands())):
        page = GENERATED / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
