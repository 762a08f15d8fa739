"""The pictures of the README: a run of the recipe `quickstart` on MLflow's pages, and its report.

Run by `make screenshots`; everything in them is from that run.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from support.chromium import browser
from support.pages import Pages
from support.study_ui import Ui, study_ui

from study.results.report import ARTIFACT_FOLDER, PAGE
from study.tracking import view

COLOURS = 256
"""As many as pages need to look the same; a PNG of so few is small."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, study_ui(Path(scratch), recipe="quickstart") as ui:
        for name, taken in (("mlflow-trials", _trials(ui)), ("mlflow-arms", _arms(ui)), ("report", _report(ui))):
            picture = Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            picture.save(folder / f"{name}.png", optimize=True)


def _trials(ui: Ui) -> bytes:
    with browser(viewport={"width": 1440, "height": 760}) as opened:
        opened.page.goto(ui.link)
        pages = Pages(opened.page, ui.address)
        pages.open(view.page(ui.parent.info.experiment_id))
        pages.column("params.`sigma`")
        return opened.page.screenshot(animations="disabled")


def _arms(ui: Ui) -> bytes:
    with browser(viewport={"width": 1440, "height": 780}) as opened:
        opened.page.goto(ui.link)
        pages = Pages(opened.page, ui.address)
        pages.open(view.page(ui.parent.info.experiment_id, charts=True))
        pages.chart("alpha vs. best_val_error")
        return opened.page.screenshot(animations="disabled")


def _report(ui: Ui) -> bytes:
    """As the run keeps it among its artifacts."""
    with browser(viewport={"width": 1280, "height": 1420}) as opened:
        opened.page.goto(ui.link)
        server = f"{ui.address}/get-artifact?path={ARTIFACT_FOLDER}/{PAGE}&run_uuid={ui.parent.info.run_id}"
        opened.page.set_content(opened.page.request.get(server).text())
        return opened.page.screenshot(animations="disabled")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
