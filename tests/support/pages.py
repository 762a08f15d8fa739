"""Where things are on the pages of MLflow 3.17: one place to mend when its pages change."""

from playwright.sync_api import FrameLocator, Locator, Page

RUN_NAME = "attributes.`Run Name`"


class Pages:
    """MLflow's pages as a person uses them.

    Args:
        page: of a browser.
        address: of the UI.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address

    def open_study(self, name: str) -> None:
        """From the first page to a study's runs, by clicks alone."""
        self.page.goto(self.address)
        self.page.get_by_text("Model training", exact=True).first.click()
        self.page.get_by_role("link", name="Experiments", exact=True).first.click()
        self.page.get_by_role("link", name=name, exact=True).first.click()
        self.page.get_by_role("button", name="Columns", exact=True).wait_for()
        self._close_assistant()

    def choose_view(self, name: str) -> None:
        """A view that was saved with the experiment."""
        self.page.get_by_role("button", name="Views").click()
        self.page.get_by_role("menuitem").filter(has_text=name).click()
        self.page.get_by_text("viewing a shared view").wait_for()

    def open(self, link: str) -> None:
        """A page by its link."""
        self.page.goto("about:blank")  # where only what follows a hash changes, nothing would be loaded anew
        self.page.goto(f"{self.address}/{link}")
        self.page.get_by_role("link", name="Runs").first.wait_for()
        self._close_assistant()

    def column(self, name: str) -> dict[str, str]:
        """Run: what a column of the list shows of it, in the list's order; there are as many as fit the window."""
        runs, shown = self._cells(RUN_NAME), self._cells(name)
        return {runs[place].split("\n")[-1]: shown[place] for place in sorted(runs)}

    def _cells(self, column: str) -> dict[int, str]:
        """Place in the list: what stands there. The page has its rows in any order, and in parts of some columns."""
        cells = self.page.locator(f".ag-row .ag-cell[col-id='{column}']")
        cells.first.wait_for()
        rows = self.page.locator(f".ag-row:has(.ag-cell[col-id='{column}'])").all()
        places = [int(row.get_attribute("row-index") or -1) for row in rows]
        return dict(zip(places, map(str.strip, cells.all_inner_texts()), strict=True))

    def sort_by(self, name: str) -> None:
        """A click on a column's head; back once the list has another first row."""
        before = next(iter(self.column(RUN_NAME)))
        self.page.get_by_test_id(f"sort-header-{name}").click()
        first = self.page.locator(f".ag-row[row-index='0'] .ag-cell[col-id='{RUN_NAME}']")
        first.filter(has_not_text=before).wait_for()

    def expand_description(self) -> None:
        """All of an experiment's description."""
        self.page.get_by_test_id("experiment-metadata-editor-edit-button").locator("xpath=following::button[1]").click()

    def chart(self, title: str) -> Locator:
        """One chart of the charts' page, once it is drawn."""
        chart = self.page.get_by_test_id("experiment-view-compare-runs-card").filter(has_text=title)
        chart.locator(".scatterlayer .point").first.wait_for()
        return chart

    def open_artifact(self, *path: str) -> FrameLocator:
        """A file of the run whose page is open, and the frame that shows it."""
        self.page.get_by_role("tab", name="Artifacts").click()
        for name in path:
            self.page.get_by_text(name, exact=True).first.click()
        self.page.locator("iframe").first.wait_for()
        return self.page.frame_locator("iframe").first

    def _close_assistant(self) -> None:
        close = self.page.get_by_role("button", name="Close", exact=True)
        close.or_(self.page.locator("body")).first.wait_for()
        if close.count():
            close.first.click()
