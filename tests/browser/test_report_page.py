"""The first screen of a report in a real browser: verdict, sweep and what more seeds would detect, in both themes."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from support.chromium import browser, needs_chromium
from support.handwritten import Writer

from study.results.report import write_report

pytest_plugins = ("support.handwritten",)
pytestmark = needs_chromium


@pytest.fixture
def page(new_study: Callable[..., Writer], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The report of a study with a sweep over σ."""
    monkeypatch.chdir(tmp_path)
    study = new_study(dataset="mnist")
    study.baseline({0: 0.100, 1: 0.110, 2: 0.120})
    study.arm({0: 0.090, 1: 0.103, 2: 0.118}, sigma=0.1, alpha=0.15)
    study.arm({0: 0.101, 1: 0.108, 2: 0.123}, sigma=0.5, alpha=0.15)
    return write_report(uri, study.name, tmp_path / "out").page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_people_decide_by_is_on_the_first_screen(page: Path, theme: Literal["light", "dark"]) -> None:
    with browser(viewport={"width": 1280, "height": 800}, color_scheme=theme) as opened:
        opened.page.goto(page.as_uri())
        for selector in (".verdict", ".first figure svg", ".seeds table", ".seeds .small"):
            box = opened.page.locator(selector).first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 800, selector
        colours = opened.page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert colours[0] != colours[1]


def test_nothing_is_cut_off_on_a_phone(page: Path) -> None:
    with browser(viewport={"width": 360, "height": 740}) as opened:
        opened.page.goto(page.as_uri())
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360
        verdict, sweep, seeds = (
            opened.page.locator(selector).first.bounding_box() for selector in (".verdict", ".first figure", ".seeds")
        )
        assert verdict is not None
        assert sweep is not None
        assert seeds is not None
        assert verdict["y"] < sweep["y"] < seeds["y"]  # one below the other
        assert sweep["width"] <= 360
