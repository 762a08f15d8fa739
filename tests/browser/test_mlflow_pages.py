"""A finished study as a person sees it: MLflow's own pages in a real browser, and the report among its artifacts."""

from collections.abc import Iterator

import pytest
from support.chromium import Browser, browser, needs_chromium
from support.pages import Pages
from support.study_ui import Ui, study_ui

from study.results.report import ARTIFACT_FOLDER, PAGE
from study.tracking import view

pytestmark = needs_chromium

SMALL = [
    *("--set", "teachers.0.train.epochs=1", "--set", "train.epochs=2", "--set", "seeds=[0, 1]"),
    *("--set", "arms.0.sigma=[0.2, 0.8]", "--set", "search.trials=3", "--set", "search.startup_trials=2"),
]
MLFLOW_S_OWN = ("/ajax-api/2.0/mlflow/users/current", "ResizeObserver loop completed with undelivered notifications")
"""Errors that its pages make whatever they show: they ask for a login that is not there, and resize as they draw."""
SIGMA, TEST_ERROR, BEST_VAL_ERROR = "params.`sigma`", "metrics.`test_error`", "metrics.`best_val_error`"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    with study_ui(tmp_path_factory.mktemp("browsed"), SMALL) as shown:
        yield shown


@pytest.fixture
def opened(ui: Ui) -> Iterator[Browser]:
    """A browser that has opened the printed link once. It must ask nobody else, and see no error but MLflow's own."""
    with browser(viewport={"width": 1600, "height": 1400}) as one:
        one.page.goto(ui.link)
        yield one
    assert one.recorder.hosts <= ui.hosts
    assert [error for error in one.recorder.errors if not any(known in " ".join(error) for known in MLFLOW_S_OWN)] == []


def test_run_list_shows_parent_and_all_trials(ui: Ui, opened: Browser) -> None:
    """The run list has the parent and all trials, with their settings and errors."""
    pages = Pages(opened.page, ui.address)
    pages.open_study("quickstart-search")
    pages.choose_view(view.NAME)
    sigmas, test_errors, val_errors = (pages.column(name) for name in (SIGMA, TEST_ERROR, BEST_VAL_ERROR))
    assert len(ui.trials) == 11
    assert set(sigmas) == {"quickstart-search", "teacher digits-cnn seed 0", *ui.trials}
    for name, run in ui.trials.items():
        assert _shows(sigmas[name], float(run.data.params["sigma"])), name
        assert _shows(val_errors[name], run.data.metrics["best_val_error"]), name
        assert _shows(test_errors[name], run.data.metrics.get("test_error")), name


def test_printed_link_shows_sorted_trials(ui: Ui, opened: Browser) -> None:
    """One click on the printed link leads to the sorted trials, and a click sorts them anew."""
    pages = Pages(opened.page, ui.address)
    opened.page.context.clear_cookies()
    pages.open(ui.links["quickstart-search"].removeprefix(f"{ui.address}/"))
    assert ui.token not in opened.page.url

    def errors() -> list[float]:
        return [ui.trials[name].data.metrics["best_val_error"] for name in pages.column(SIGMA) if name in ui.trials]

    assert errors() == sorted(errors())
    pages.sort_by("best_val_error")
    assert errors() == sorted(errors(), reverse=True)


def test_the_chart_compares_the_arms_by_sigma_and_test_error(ui: Ui, opened: Browser) -> None:
    pages = Pages(opened.page, ui.address)
    pages.open(view.page(ui.parent.info.experiment_id, charts=True))
    chart = pages.chart("sigma vs. test_error")
    tested = [run for run in ui.trials.values() if "test_error" in run.data.metrics]
    assert 0 < len(tested) < len(ui.trials)
    assert chart.locator(".scatterlayer .point").count() == len(tested)


def test_the_description_has_the_table_and_its_links_lead_on(ui: Ui, opened: Browser) -> None:
    pages = Pages(opened.page, ui.address)
    pages.open_study("quickstart-search")
    pages.expand_description()
    table = opened.page.get_by_role("table").filter(has_text="p corr.").first
    assert table.get_by_role("row").filter(has_text="noisy teacher").count() == 3
    with opened.page.expect_popup() as led:
        opened.page.get_by_role("link", name="the arms as charts").first.click()
    Pages(led.value, ui.address).chart("sigma vs. test_error")


def test_the_report_opens_from_the_artifacts_and_is_drawn(ui: Ui, opened: Browser) -> None:
    pages = Pages(opened.page, ui.address)
    pages.open(f"#/experiments/{ui.parent.info.experiment_id}/runs/{ui.parent.info.run_id}")
    report = pages.open_artifact(ARTIFACT_FOLDER, PAGE)
    assert report.get_by_role("heading", name="quickstart-search").is_visible()
    figures = report.locator("figure svg")
    assert figures.count() >= 3
    assert all(figure.bounding_box() for figure in figures.all())
    assert opened.page.get_by_text("study.yaml", exact=True).is_visible()


def _shows(text: str, value: float | None) -> bool:
    """Whether a cell tells a number; it shows what of its digits it has room for."""
    return text == "-" if value is None else abs(float(text.rstrip("…")) - value) < 1e-4
