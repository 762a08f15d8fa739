"""The pages of the reference: each is made from code, and kept in the repository so that its links work there too.

`make reference` writes them, and `tests/docs/test_references.py` says when it has to be run again.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import api_reference  # noqa: E402 - beside this file
import command_reference  # noqa: E402 - beside this file
import study_file_reference  # noqa: E402 - beside this file
import tracking_reference  # noqa: E402 - beside this file

PAGES: Mapping[str, Callable[[], str]] = {
    "study-file": study_file_reference.reference,
    "commands": command_reference.reference,
    "functions": api_reference.reference,
    "tracking-names": tracking_reference.reference,
}

if __name__ == "__main__":
    for name, made in PAGES.items():
        (HERE / "reference" / f"{name}.md").write_text(made(), encoding="utf-8")
