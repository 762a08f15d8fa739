"""The report: its verdict, its page, its files, and the command that makes it."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from support.handwritten import Writer
from support.sheet import Sheet

from study.errors import UserError
from study.results.figures import pictures
from study.results.figures.chosen import by_validation
from study.results.figures.material import Material
from study.results.figures.pictures import Pictures
from study.results.figures.style import Sketch, canvas
from study.results.report import ARTIFACT_FOLDER, PAGE, Verdict, default_folder, page, verdict, write_report
from study.results.table import table_of
from study.terminal.cli import main
from study.tracking import schema

pytest_plugins = ("support.handwritten",)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reported")


@pytest.fixture(scope="session")
def uri(folder: Path) -> str:
    """A store of these tests' own, for they write artifacts."""
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="session")
def client(folder: Path, uri: str) -> MlflowClient:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow puts the artifacts of a new store
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments()
    return client


@pytest.fixture
def study(new_study: Callable[..., Writer]) -> Writer:
    """A small study in the store: a baseline and two σ over three seeds."""
    study = new_study(dataset="mnist")
    study.baseline({0: 0.100, 1: 0.110, 2: 0.120})
    study.arm({0: 0.090, 1: 0.103, 2: 0.118}, sigma=0.1, alpha=0.15)
    study.arm({0: 0.101, 1: 0.108, 2: 0.123}, sigma=0.5, alpha=0.15)
    return study


def _verdict(sheet: Sheet) -> Verdict:
    tracked = sheet.tracked()
    return verdict(table_of(tracked), by_validation(tracked))


def _page(sheet: Sheet) -> str:
    tracked = sheet.tracked()
    table = table_of(tracked)
    return page(tracked, table, verdict(table, by_validation(tracked)), Pictures((), ()))


# ---------------------------------------------------------------------------------------------------------- the verdict


def test_an_arm_with_fewer_errors_is_better() -> None:
    said = _verdict(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.05}))
    assert said.outcome == "better"
    assert re.fullmatch(
        r"The only arm tested, noisy teacher, σ = 0\.5, α = 0\.15, is better than plain distillation; improvement "
        r"\+49\.\d % \(95 % interval \+4\d\.\d to \+\d\d\.\d %, n = 3 seeds, baseline: default settings\)\.",
        said.sentence,
    )


def test_an_arm_with_more_errors_is_worse() -> None:
    said = _verdict(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.15}))
    assert said.outcome == "worse"
    assert "is worse than plain distillation; improvement −49." in said.sentence


def test_an_arm_like_the_baseline_is_undecided() -> None:
    said = _verdict(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.10}))
    assert said.outcome == "undecided"
    assert "the seeds show no difference from plain distillation, and do not show that there is none" in said.sentence


def test_verdict_is_of_the_arm_validation_chose() -> None:
    """The verdict is of the arm that validation chose, and it counts the other arms."""
    sheet = Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.05, (0.9, 0.15): 0.15})
    for seed in (0, 1, 2):  # the lowest on validation, and worse than the baseline on the test set
        sheet.train(seed, 0.01, 0.16 + seed / 1000, sigma=0.7, alpha=0.15)
    said = _verdict(sheet)
    assert said.outcome == "worse"
    assert said.sentence.startswith("The arm that validation chose, noisy teacher, σ = 0.7, α = 0.15, is worse")
    assert said.sentence.endswith(
        "of all 3 arms tested, 1 better, 2 worse and 0 undecided after correction for their number."
    )


def test_a_verdict_of_an_arm_without_noise_counts_those_with_noise() -> None:
    """Labels may be better than plain distillation, and that says nothing about noise."""
    sheet = Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.15, (0.9, 0.15): 0.15})
    for seed in (0, 1, 2):
        sheet.train(seed, 0.01, 0.05 + seed / 1000, method="labels", sigma=0.0, alpha=0.0)
    said = _verdict(sheet)
    assert said.outcome == "better"
    assert said.sentence.startswith("The arm that validation chose, labels, is better")
    assert said.sentence.endswith("after correction for their number. Of 2 arms with noise, none is better.")


def test_a_study_of_one_seed_has_no_verdict() -> None:
    said = _verdict(Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.05}, seeds=[0]))
    assert said.outcome == "unknown"
    assert said.sentence.startswith("There is no verdict yet: every comparison has only one seed")
    assert "no interval, n = 1 seed, baseline: default settings" in said.sentence


@pytest.mark.parametrize(
    ("sheet", "why"),
    [
        (Sheet(), "No arm has a completed trial yet"),
        (Sheet().grid({(0, 0): 0.1}), "No arm has a completed trial yet"),
        (Sheet().grid({(0.5, 0.15): 0.1}), "there is no baseline to compare with"),
        (Sheet().grid({(0, 0): 0.1}, seeds=[5]).grid({(0.5, 0.15): 0.1}), "no arm shares a seed with its baseline"),
    ],
    ids=["nothing", "baseline alone", "no baseline", "no common seed"],
)
def test_what_cannot_be_compared_has_no_verdict(sheet: Sheet, why: str) -> None:
    said = _verdict(sheet)
    assert said.outcome == "unknown"
    assert why in said.sentence


def test_several_students_are_in_one_sentence() -> None:
    sheet = Sheet().grid({(0, 0): 0.10, (0.5, 0.15): 0.05}, student="this")
    sheet.grid({(0, 0): 0.10, (0.5, 0.15): 0.10}, student="that")
    said = _verdict(sheet)
    assert said.outcome == "mixed"
    assert "better for 1 of 2 students (this +49." in said.sentence
    assert "; undecided for 1 of 2 students (that " in said.sentence
    assert said.sentence.count(". ") == 0


def test_the_verdict_says_that_the_baseline_was_searched() -> None:
    sheet = Sheet(baseline_kind="searched: 20 trials over lr").grid({(0, 0): 0.10, (0.5, 0.15): 0.05})
    assert "baseline: searched: 20 trials over lr)" in _verdict(sheet).sentence


# ------------------------------------------------------------------------------------------------------------- the page

EVIL = '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)> & <b>'


class _Elements(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_names_and_parameters_are_only_text() -> None:
    """Names and parameters that come from the server are text and nothing else."""
    sheet = Sheet(baseline_kind=EVIL, published=EVIL, dataset=EVIL)
    sheet.grid({(0, 0): 0.10, (0.5, 0.15): 0.05}, student=EVIL, teacher=EVIL, optimizer=EVIL)
    sheet.train(0, 0.1, 0.1, sigma=0.7, alpha=0.15, student=EVIL, optimizer="adam")
    text = _page(sheet)
    found = _Elements(text)
    assert "script" not in found.names
    assert "img" not in found.names
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_hostile_study_name_is_only_text(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    """A hostile study name is text, and its folder lies in the working folder."""
    name = "../<script>alert(1)</script>"
    Writer(client, name)
    report = write_report(uri, name, tmp_path / "out")
    assert "script" not in _Elements(report.page.read_text(encoding="utf-8")).names
    assert default_folder(name) == Path("script-alert-1-script-report")
    assert default_folder("..") == Path("study-report")
    assert default_folder("mnist-table-1") == Path("mnist-table-1-report")


def test_the_page_loads_nothing(study: Writer, uri: str, tmp_path: Path) -> None:
    text = write_report(uri, study.name, tmp_path / "out").page.read_text(encoding="utf-8")
    found = _Elements(text)
    assert "svg" in found.names
    assert not {"script", "iframe", "object", "embed", "base", "a"} & set(found.names)
    assert not re.findall(r"https?:|//", text)
    resources = [value for name, value in found.attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
    assert resources
    assert all(value.startswith(("#", "data:")) for value in resources)
    assert "@import" not in text
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_page_has_the_verdict_the_table_and_both_themes(study: Writer, uri: str, tmp_path: Path) -> None:
    text = write_report(uri, study.name, tmp_path / "out").page.read_text(encoding="utf-8")
    assert "is undecided: the seeds show no difference" in text
    assert '<td class="n">10.37 [' in text  # the mean of the first arm, per cent
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert '<meta name="viewport"' in text
    assert "<dt>state</dt><dd>finished</dd>" in text
    assert "<dt>trials</dt><dd>9 completed</dd>" in text


@pytest.mark.parametrize(
    ("commit", "shown"), [("0123456789abcdef", "0123456789ab"), ("0" * 40 + "-dirty", "0" * 12 + "-dirty")]
)
def test_page_names_the_commit(commit: str, shown: str) -> None:
    """The page names the commit and says where the code differed."""
    tracked = replace(Sheet().grid({(0, 0): 0.1}).tracked(), tags={schema.COMMIT: commit})
    table = table_of(tracked)
    text = page(tracked, table, verdict(table, by_validation(tracked)), Pictures((), ()))
    assert f">{shown}<" in text


def test_a_study_with_nothing_to_draw_still_has_a_page() -> None:
    text = _page(Sheet())
    assert "No arm has a completed trial yet" in text
    assert "<figure" not in text


# ------------------------------------------------------------------------------------------------------------ the files


def _kept(client: MlflowClient, study: Writer) -> set[str]:
    return {Path(file.path).name for file in client.list_artifacts(study.parent, ARTIFACT_FOLDER)}


def test_report_files_are_kept_on_the_run(study: Writer, client: MlflowClient, uri: str, tmp_path: Path) -> None:
    """The files lie in the folder, and the study's run keeps them."""
    report = write_report(uri, study.name, tmp_path / "out")
    assert report.not_logged is None
    assert report.page == tmp_path / "out" / PAGE
    names = {PAGE, "error-over-sigma.svg", "error-over-sigma.png"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert {file.name for file in report.files} == names
    assert _kept(client, study) == names


def test_the_same_study_gives_the_same_bytes(study: Writer, uri: str, tmp_path: Path) -> None:
    once = write_report(uri, study.name, tmp_path / "once").files
    again = write_report(uri, study.name, tmp_path / "again").files
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]


def test_files_stay_if_the_server_refuses_them(study: Writer, client: MlflowClient, uri: str, tmp_path: Path) -> None:
    """Where the run cannot keep the report, the files stay and a line says why."""
    artifacts = Path(client.get_run(study.parent).info.artifact_uri)
    artifacts.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_text("a file where the folder should be", encoding="utf-8")
    report = write_report(uri, study.name, tmp_path / "out")
    assert report.page.exists()
    assert report.not_logged is not None
    assert "\n" not in report.not_logged


def test_a_study_without_a_parent_run_gets_its_files(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    client.create_experiment("orphan")
    report = write_report(uri, "orphan", tmp_path / "out")
    assert report.page.exists()
    assert report.not_logged == "the study has no parent run"


def test_a_file_instead_of_the_folder_is_refused(study: Writer, uri: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="this is a file"):
        write_report(uri, study.name, tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def command(
    workspace: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `noisy-study report` with these words in an empty folder; returns status, standard output and error."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setattr(sys, "argv", ["noisy-study", "report", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_the_command_writes_beside_the_study_and_says_where(
    study: Writer, client: MlflowClient, workspace: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = command(study.name)
    assert (status, out) == (0, "")
    assert err == f"wrote {study.name}-report/index.html, and the figures beside it\n"
    assert (workspace / f"{study.name}-report" / PAGE).exists()
    assert PAGE in _kept(client, study)
    assert command(study.name, "--out", "elsewhere")[0] == 0
    assert (workspace / "elsewhere" / PAGE).exists()


def test_missing_study_is_one_line(
    study: Writer, workspace: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """A study that does not exist is one line, and nothing is written."""
    status, out, err = command("no-such-study")
    assert (status, out) == (2, "")
    assert err.startswith("there is no study `no-such-study`")
    assert err.count("\n") == 1
    assert list(workspace.iterdir()) == []


def test_a_new_figure_is_one_function_and_in_the_report(
    study: Writer, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure is added without a change of the report."""

    def rows(material: Material) -> list[Sketch]:
        def draw() -> Figure:
            figure, (axes,) = canvas()
            axes.bar(range(len(material.table.rows)), [row.mean for row in material.table.rows])
            return figure

        caption = f"{material.students[0]}, n = 3."
        return [Sketch("rows-as-bars", "Rows as bars", "One bar for each row", caption, draw, "First: 10 %.")]

    monkeypatch.setattr(pictures, "FIGURES", (*pictures.FIGURES, rows))
    report = write_report(uri, study.name, tmp_path / "out")
    text = report.page.read_text(encoding="utf-8")
    assert '<figure id="rows-as-bars">' in text
    assert 'aria-label="One bar for each row. First: 10 %."' in text
    assert "Rows as bars" in text
    assert (tmp_path / "out" / "rows-as-bars.svg") in report.files
    assert (tmp_path / "out" / "rows-as-bars.png") in report.files
