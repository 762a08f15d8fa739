"""Every format of a table, read back by a reader of that format."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len
from support.handwritten import SEARCHED_BASELINE

from study.errors import UserError
from study.results.arms import Arm
from study.results.columns import for_people, subtitle
from study.results.formats.csv import frame
from study.results.formats.json import as_json
from study.results.formats.text import PIPED_WIDTH
from study.results.render import FORMATS, render
from study.results.rows import Row, RowCost, Table
from study.results.table import build_table

pytest_plugins = ("support.handwritten",)

AWKWARD = "[C5(S1P2)@64-MP2(S2)]-FC10 | 50% <b>&_$#{x}*~`^\\"


@pytest.fixture(scope="module")
def mnist_table(uri: str, mnist: str) -> Table:
    return build_table(uri, mnist)


BASE = Row(
    arm=Arm(
        role="baseline",
        stage="grid",
        student=AWKWARD,
        teacher="nin",
        teacher_key="0123456789abcdef0123456789abcdef",
        method="logit_regression",
        sigma=None,
        sigma_mode=None,
        noise=None,
        alpha=None,
        settings=(),
    ),
    stage="grid",
    n=3,
    n_planned=3,
    n_diverged=0,
    n_failed=0,
    errors={0: 0.2104, 1: 0.2284, 2: 0.2194},
    test_error_mean=0.2194,
    test_error_ci95=(0.21, 0.23),
    improvement_percent=None,
    improvement_ci95=None,
    p_value=None,
    p_corrected=None,
    verdict="baseline",
    compression_ratio=3.38,
    published_error_percent=None,
    published_improvement_percent=None,
    settings={},
)
ARM = replace(
    BASE,
    arm=replace(BASE.arm, role="arm", method="noisy_teacher", sigma=0.6, sigma_mode="fixed", noise="fresh", alpha=0.5),
    improvement_percent=3.1415,
    improvement_ci95=(-0.52, 6.83),
    p_value=0.0712,
    p_corrected=0.0712,
    verdict="undecided",
)


def table_of(*rows: Row, notes: tuple[str, ...] = ("A note.",)) -> Table:
    return Table("a_study", "default settings", notes, rows)


@pytest.fixture
def awkward() -> Table:
    return table_of(
        BASE,
        ARM,
        replace(ARM, arm=replace(ARM.arm, student="fc800", sigma=(0.01, 1.0))),
        notes=(f"A note on {AWKWARD}.",),
    )


def printed(table: Table) -> list[list[str]]:
    shown = for_people(table)
    return [[column.heading for column in shown], *([column.cell(row) for column in shown] for row in table.rows)]


class Cells(HTMLParser):
    """The cells of all table rows, the texts of all list items, and the tags that were left open."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.items: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "li":
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if self.open and self.open[-1] == "li":
            self.items[-1] += data


def test_cells_are_per_cent_with_their_intervals() -> None:
    head, baseline, arm = printed(table_of(BASE, ARM))
    assert dict(zip(head, arm, strict=True)) == {
        "method": "noisy teacher",
        "σ": "0.6",
        "α": "0.5",
        "n": "3",
        "test error %": "21.94 [21.00, 23.00]",
        "improvement": "+3.1 [−0.5, 6.8] %",
        "p": "0.071",
        "p corr.": "0.071",
        "verdict": "undecided",
    }
    assert dict(zip(head, baseline, strict=True))["improvement"] == ""
    assert baseline[0] == "logit regression (baseline)"


@pytest.mark.parametrize(
    ("improvement", "shown"),
    [(0.04, "0.0 %"), (-0.04, "0.0 %"), (-3.26, "−3.3 %"), (3.26, "+3.3 %"), (0.0, "0.0 %")],
)
def test_an_improvement_has_its_sign_and_zero_has_none(improvement: float, shown: str) -> None:
    row = replace(ARM, improvement_percent=improvement, improvement_ci95=None)
    head, cells = printed(table_of(row))
    assert dict(zip(head, cells, strict=True))["improvement"] == shown


def test_a_tiny_p_value_is_not_printed_as_zero() -> None:
    head, cells = printed(table_of(replace(ARM, p_value=1e-9, p_corrected=0.0)))
    row = dict(zip(head, cells, strict=True))
    assert (row["p"], row["p corr."]) == ("<0.001", "<0.001")


def test_p_value_is_not_rounded_across_five_percent() -> None:
    """A p-value is not rounded across the five per cent that decide."""
    head, cells = printed(table_of(replace(ARM, p_value=0.0497, p_corrected=0.0503)))
    row = dict(zip(head, cells, strict=True))
    assert (row["p"], row["p corr."]) == ("<0.050", "0.050")


def test_what_all_rows_share_is_said_once() -> None:
    table = table_of(BASE, ARM)
    assert subtitle(table) == f"student {AWKWARD}, teacher nin, fresh noise, compression ratio 3.38"
    assert not {"student", "teacher", "noise", "compression", "stage"} & set(printed(table)[0])


def test_what_differs_between_rows_is_a_column() -> None:
    other_arm = replace(ARM.arm, student="fc800", teacher="nin+alexnet", noise="frozen")
    other = replace(ARM, arm=other_arm, compression_ratio=7.0, stage="confirm")
    assert {"student", "teacher", "noise", "compression", "stage"} <= set(printed(table_of(ARM, other))[0])


def test_published_columns_need_published_values() -> None:
    """Published columns stand only where something is published."""
    assert "published error %" not in printed(table_of(BASE, ARM))[0]
    head, cells = printed(table_of(replace(ARM, published_error_percent=19.15, published_improvement_percent=12.71)))
    row = dict(zip(head, cells, strict=True))
    assert (row["published error %"], row["published improvement"]) == ("19.15", "+12.7 %")


def test_different_costs_show_multiplications_and_front() -> None:
    """If students differ in cost, the table shows their multiplications and the front."""
    rows = [
        replace(BASE, cost=RowCost(1_275_200, True)),
        replace(ARM, cost=RowCost(65_742_848, False)),
        replace(ARM, cost=RowCost(None, None)),
    ]
    head, *body = printed(table_of(*rows))
    shown = [dict(zip(head, cells, strict=True)) for cells in body]
    assert [(row["multiplications"], row["front"]) for row in shown] == [
        ("1,275,200", "*"),
        ("65,742,848", ""),
        ("", ""),
    ]
    assert not {"multiplications", "front"} & set(printed(table_of(BASE, ARM))[0])
    back = pd.read_csv(io.StringIO(render(table_of(*rows), "csv")))
    assert back["pareto"].tolist()[:2] == [True, False]
    assert back["multiplications"].tolist()[:2] == [1_275_200, 65_742_848]


@pytest.mark.parametrize("format", FORMATS)
def test_the_front_is_marked_in_every_format(format: str) -> None:
    on, off = (render(table_of(replace(ARM, cost=RowCost(1_275_200, pareto))), format) for pareto in (True, False))
    assert on != off


def test_settings_of_the_arms_are_columns_by_their_names() -> None:
    rows = [
        replace(BASE, settings={"lr": 0.001, "temperature": None}),
        replace(ARM, settings={"lr": 1e-5, "temperature": 4}),
    ]
    head, *body = printed(table_of(*rows))
    shown = [dict(zip(head, cells, strict=True)) for cells in body]
    assert [(row["lr"], row["temperature"]) for row in shown] == [("0.001", ""), ("1e-05", "4")]


def test_json_reads_back_as_the_table(mnist_table: Table) -> None:
    assert json.loads(render(mnist_table, "json")) == json.loads(json.dumps(as_json(mnist_table)))


def test_csv_reads_back_as_the_frame(mnist_table: Table) -> None:
    back, written = pd.read_csv(io.StringIO(render(mnist_table, "csv"))), frame(mnist_table)
    other = ["sigma", "teacher_key"]
    pd.testing.assert_frame_equal(back.drop(columns=other), written.drop(columns=other), check_dtype=False)
    assert back["teacher_key"].isna().all()
    assert back["test_error_ci95_low"].dropna().lt(back["test_error_mean"].dropna()).all()
    assert [json.loads(sigma) for sigma in back["sigma"].dropna()] == [0.1, 0.5, 5, [0.01, 1.0], 0.437]


def test_csv_keeps_commas_and_quotes_of_names() -> None:
    name = 'a, "b"'
    back = pd.read_csv(io.StringIO(render(table_of(replace(ARM, arm=replace(ARM.arm, student=name))), "csv")))
    assert back["student"].tolist() == [name]


def test_html_is_complete_and_reads_back(awkward: Table) -> None:
    page = render(awkward, "html")
    reader = Cells()
    reader.feed(page)
    reader.close()
    assert page.startswith("<!DOCTYPE html>")
    assert reader.open == []
    assert reader.rows == printed(awkward)
    assert reader.items == list(awkward.notes)


def test_markdown_reads_back(awkward: Table) -> None:
    reader = Cells()
    reader.feed(MarkdownIt("commonmark").enable("table").render(render(awkward, "md")))
    assert reader.rows == printed(awkward)
    assert reader.items == list(awkward.notes)


def test_latex_escapes_what_latex_would_read(awkward: Table) -> None:
    text = render(awkward, "latex")
    bare = re.sub(r"\\[\\&%$#_{}]", "", text)
    assert "%" not in bare
    assert "#" not in bare
    assert "_" not in bare
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"\\\\\s*\[", text), "a line break followed by [ takes it for a length"
    body = text[text.index(r"\begin{tabular}") : text.index(r"\end{tabular}")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(for_people(awkward)) - 1}
    assert re.findall(r"\\begin{(\w+)}", text) == ["table", "tabular", "itemize"]
    assert re.findall(r"\\end{(\w+)}", text) == ["tabular", "itemize", "table"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_text_keeps_to_its_width_and_cuts_nothing_off(mnist_table: Table, awkward: Table, width: int) -> None:
    for table in (mnist_table, awkward):
        text = render(table, "text", width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert "…" not in text
        without_spaces = re.sub(r"\s", "", text)
        head, *body = printed(table)
        for heading in ("σ", "n", "test error %", "improvement"):
            for number in re.findall(r"[\d.−+]+", " ".join(row[head.index(heading)] for row in body)):
                assert number in without_spaces


def test_text_has_a_line_for_every_row_where_there_is_room(mnist_table: Table) -> None:
    text = render(mnist_table, "text", PIPED_WIDTH)
    for row in printed(mnist_table)[1:]:
        assert re.search(r" +".join(re.escape(cell) for cell in row if cell) + r" *\n", text)


def test_narrow_terminal_drops_redundant_columns() -> None:
    """A narrow terminal drops the columns that others repeat, and a line says so."""
    arm = replace(ARM, published_error_percent=19.15, published_improvement_percent=12.71)
    wide, narrow = (render(table_of(BASE, arm), "text", width) for width in (PIPED_WIDTH, 80))
    assert "Too wide" not in wide
    assert "Too wide for this terminal: p, published improvement." in narrow
    assert all(text in narrow for text in ("3.1", "[−0.5, 6.8] %", "undecided", "19.15"))


def test_the_narrowest_terminal_has_a_paragraph_for_every_row() -> None:
    text = render(table_of(BASE, ARM), "text", 40)
    assert "method noisy teacher, σ 0.6, α 0.5, n 3, test error % 21.94 [21.00, 23.00]" in " ".join(text.split())


def test_text_for_a_pipe_has_a_fixed_width(mnist_table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(mnist_table, "text") == render(mnist_table, "text", PIPED_WIDTH)
    assert capsys.readouterr().out == ""


def test_names_in_notes_of_a_page_have_a_font(mnist_table: Table) -> None:
    page = render(mnist_table, "html")
    assert "<code>guarded-dunnett</code>" in page
    assert "`" not in page


@pytest.mark.parametrize("format", ["text", "md", "latex", "html", "json"])
def test_notes_stand_below_the_table(mnist_table: Table, format: str) -> None:
    text = " ".join(render(mnist_table, format, 200).split())
    assert "teacher and data split are the same for all seeds" in text
    assert "Trials without a test error: 1 diverged, 1 failed, 1 running" in text


@pytest.mark.parametrize("format", FORMATS)
def test_a_row_that_no_test_decides_is_called_undecided(mnist_table: Table, format: str) -> None:
    said = sum(row.verdict == "undecided" for row in mnist_table.rows)
    assert said > 0
    for width in (40, 60, 80, 100, 120, 160) if format == "text" else (None,):
        words = " ".join(render(mnist_table, format, width).split())
        assert words.replace("An undecided arm", "").count("undecided") == said, "beside the note on more seeds"


@pytest.mark.parametrize("format", FORMATS)
def test_what_the_baseline_is_can_be_read(uri: str, mnist_table: Table, searched: str, format: str) -> None:
    kind = SEARCHED_BASELINE
    assert kind in " ".join(render(build_table(uri, searched), format).split())
    assert kind not in " ".join(render(mnist_table, format).split())
    assert "default settings" in " ".join(render(mnist_table, format).split())


@pytest.mark.parametrize("format", ["text", "md", "latex", "html", "json"])
def test_how_the_points_were_found_stands_below_the_table(uri: str, searched: str, format: str) -> None:
    text = " ".join(render(build_table(uri, searched), format, 200).split())
    assert "Searched: 5 trials (2 pruned, 1 diverged)" in text
    assert "Baseline searched: 2 trials (1 pruned)" in text


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_table_renders_in_every_format(format: str) -> None:
    text = render(Table("empty", "default settings", ("Nothing yet.",), ()), format)
    assert text.endswith("\n")
    assert "Nothing yet" in text or format == "csv"


def test_an_unknown_format_is_named_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"--format xlsx.*text, md, csv, json, latex, html"):
        render(table_of(BASE), "xlsx")
