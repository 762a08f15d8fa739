"""The notebook for researchers and the first example of docs/api.md run from top to bottom, and give what they say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "compare-and-extend.ipynb"


def _notebook() -> Any:
    return nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = [cell for cell in _notebook().cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
def test_the_notebook_loads_draws_extends_and_compares(workspace: Path) -> None:
    notebook = _notebook()
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(workspace)}}).execute()
    cells = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    shown = {
        name: "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
        for name, outputs in cells.items()
    }
    assert "stage teacher: 1 trials" in shown["run"]
    assert shown["table"].count("noisy_teacher") == 3
    assert any("image/png" in output.get("data", {}) for output in cells["figure"])
    assert "stage grid: 20 trials, 12 of them done before" in shown["more"]
    assert re.search(r"soft_targets +NaN +3 ", shown["both"])
    assert re.search(r"\d+\.\d% of all digits", shown["take"])


@pytest.mark.slow
def test_the_example_of_the_page_on_notebooks_runs(workspace: Path) -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", text, flags=re.M | re.S)
    assert found is not None
    checks = "frame = finished.table()\nprint(len(frame), type(student).__name__)\n"
    program = [sys.executable, "-c", found[1] + checks]
    ran = subprocess.run(program, cwd=workspace, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["4", "Student"]
