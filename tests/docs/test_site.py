"""The site builds without a warning, and its references say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from study.config import ArmConfig, DataConfig, SearchConfig, StudyConfig, TeacherConfig, TrainConfig

ROOT = Path(__file__).parents[2]
EARLIER = {Path("generated/study-file"), Path("generated/command-line")}
"""Pages that earlier versions made; they may still be in a checkout."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "docs", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")} - EARLIER
    assert pages == {page for page in pages if (site / page).with_suffix(".html").exists()}
    assert {"index", "tutorial", "how-to", "method", "tracking-schema"} <= {str(page) for page in pages}


def test_the_study_file_reference_has_every_key(site: Path) -> None:
    page = (site / "reference/study-file.html").read_text()
    for model in (StudyConfig, DataConfig, TrainConfig, TeacherConfig, ArmConfig, SearchConfig):
        for key in model.model_fields:
            assert f">{key}<" in page, key


def test_the_command_reference_has_every_command(site: Path) -> None:
    page = re.sub("<[^>]*>", "", (site / "reference/commands.html").read_text())
    for name in ("ls", "cp", "validate", "run", "resume", "status", "sync", "table", "report", "export", "net", "ui"):
        assert f"noisy-study {name}" in page


def test_the_site_asks_nothing_of_the_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert 'src="http' not in text, page
        assert 'stylesheet" type="text/css" href="http' not in text, page
