"""What the rule, the detection and the trend say in a table."""

import json
import re

import pytest
from support.sheet import Sheet

from study.config import dump_study, parse_study
from study.errors import UserError
from study.results.families import families_of
from study.results.power import as_text, plans_of
from study.results.render import FORMATS, render
from study.results.rows import Table
from study.results.selection import ordered_arms
from study.results.table import table_of
from study.tracking.provenance import provenance, this_start

STUDY = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
arms: [{method: noisy_teacher, alpha: 0.5, sigma: [0.1, 0.5]}]
"""
FLAT = {(0.0, 0.0): 0.10, (0.1, 0.5): 0.10, (0.3, 0.5): 0.10, (0.9, 0.5): 0.10}
PEAK = {(0.0, 0.0): 0.10, (0.05, 0.5): 0.10, (0.15, 0.5): 0.09, (0.4, 0.5): 0.09, (1.2, 0.5): 0.10}


def notes(table: Table, beginning: str) -> list[str]:
    return [line for line in table.notes if line.startswith(beginning)]


def test_families_are_students_and_stages_with_their_share() -> None:
    sheet = Sheet().grid(FLAT).grid({(0, 0): 0.1, (0.1, 0.5): 0.1}, student="wide")
    for seed in (7, 8, 9):
        sheet.train(seed, 0.1, 0.1, stage="confirm", sigma=0.2, alpha=0.5)
    arms, _ = ordered_arms(sheet.tracked())
    found = families_of(arms)
    assert [(key[1], family.planned, family.share) for key, family in found.items()] == [
        ("grid", 3, 0.6),
        ("confirm", 1, 0.2),
        ("grid", 1, 0.2),
    ]


def test_small_differences_do_not_matter_if_the_file_says_so() -> None:
    table = table_of(Sheet(smallest_effect="20").grid(FLAT).tracked())
    assert [row.verdict for row in table.rows[1:]] == ["no_difference_that_matters"] * 3
    assert notes(table, "An improvement inside ± 20 %")
    assert "no difference that matters" in render(table, "md")
    undecided = table_of(Sheet().grid(FLAT).tracked())
    assert {row.verdict for row in undecided.rows[1:]} == {"undecided"}
    assert not notes(undecided, "An improvement inside")


def test_better_by_less_than_matters_is_named_in_a_note() -> None:
    table = table_of(Sheet(smallest_effect="20").grid({(0, 0): 0.10, (0.1, 0.5): 0.098}).tracked())
    assert table.rows[1].verdict == "better"
    assert "σ=0.1" in notes(table, "Better or worse by less than 20 %")[0]


def test_every_row_and_the_table_say_what_they_can_detect() -> None:
    table = table_of(Sheet().grid(FLAT).tracked())
    for row in table.rows[1:]:
        assert row.detectable_percent is not None
        low, high = row.detectable_percent
        assert 0 < low < high
    assert table.rows[0].detectable_percent is None
    assert re.search(r"an improvement of .* % to .* % is detected with a chance of 80 %", " ".join(table.notes))
    document = json.loads(render(table, "json"))
    assert document["rows"][1]["detectable_percent"] == list(table.rows[1].detectable_percent or ())
    assert "detectable_percent_low" in render(table, "csv")


def test_no_improvement_above_100_percent_is_named() -> None:
    """One arm collapses, with errors that differ by more than the baseline has."""
    sheet = Sheet().grid({(0, 0): 0.01})
    for seed, error in enumerate((0.9, 0.6, 0.75)):
        sheet.train(seed, error, error, sigma=0.9, alpha=0.5)
    table = table_of(sheet.tracked())
    assert notes(table, "With these seeds no improvement is detected with a chance of 80 %, because a difference")
    assert not notes(table, "With these seeds an improvement")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_names_the_rule(format: str) -> None:
    assert "guarded-dunnett" in " ".join(render(table_of(Sheet().grid(FLAT).tracked()), format).split())


def test_json_says_which_name_is_the_former_one() -> None:
    document = json.loads(render(table_of(Sheet().grid(FLAT).tracked()), "json"))
    assert [line for line in document["notes"] if "`p_holm`" in line and "`p_corrected`" in line]


def test_an_unbounded_improvement_has_a_note() -> None:
    sheet = Sheet()
    for seed, (baseline, arm) in enumerate([(0.0001, 0.2), (0.9, 0.3), (0.1, 0.25)]):
        sheet.train(seed, 0.1, baseline, role="baseline")
        sheet.train(seed, 0.1, arm, sigma=0.1, alpha=0.5)
    table = table_of(sheet.tracked())
    assert table.rows[1].improvement_ci95 is None
    assert notes(table, "The interval of the improvement is unbounded")


def test_a_trend_is_a_note_and_a_band_of_its_own() -> None:
    sheet = Sheet().grid(PEAK)
    (trend, meaning) = notes(table_of(sheet.tracked()), "Trend") + notes(table_of(sheet.tracked()), "A trend")
    assert re.search(r"lowest error at σ = 0\.2\d?, 95 % interval 0\.2\d? to 0\.2\d?", trend)
    assert "tested separately from the verdicts" in meaning
    (sketch,) = [each for each in sheet.sketches().sketches if each.name == "error-over-sigma"]
    assert "Trend: p" in sketch.caption
    plain = Sheet().grid({(0, 0): 0.1, (0.1, 0.5): 0.1, (0.3, 0.5): 0.1})
    assert not notes(table_of(plain.tracked()), "Trend")
    (without,) = [each for each in plain.sketches().sketches if each.name == "error-over-sigma"]
    assert len(sketch.finish().svg) > len(without.finish().svg)


def test_power_reads_spread_and_hours_off_a_study() -> None:
    sheet = Sheet()
    sheet.grid(FLAT)
    for seed in (0, 1, 2):
        sheet.train(seed, 0.1, 0.1 + seed / 500, sigma=2.0, alpha=0.5, seconds=3600.0)
    (plan,) = plans_of(sheet.tracked(), 5.0)
    assert (plan.family.planned, plan.seeds, plan.hours(3)) == (4, 3, 15.0)
    assert "the rows of sheet, upper 80 % limit" in as_text([plan])


def test_the_study_file_gives_the_smallest_effect_to_the_server() -> None:
    study = parse_study(STUDY + "smallest_effect: 5\n", "text")
    params, _ = provenance(study, "digest", this_start())
    assert params["smallest_effect"] == "5"
    assert parse_study(dump_study(study), "text") == study
    assert "smallest_effect" not in provenance(parse_study(STUDY, "text"), "digest", this_start())[0]
    with pytest.raises(UserError, match="smallest_effect"):
        parse_study(STUDY + "smallest_effect: 0\n", "text")
