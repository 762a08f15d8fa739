"""The map of the improvement over two settings: which maps a study has, and what their cells say."""

import re
from typing import Any

import numpy as np
import pytest
from support.sheet import OVER_SIGMA, SEEDS, Sheet

from study.results.figures import improvement_map
from study.results.figures.improvement_map import ImprovementMap, maps_of, shades, text_colour
from study.results.figures.style import COLOURS
from study.results.table import table_of

RATES = (0.001, 0.003, 0.01)


def over_rates(better: float = 0.10, **params: Any) -> Sheet:
    """A grid over σ and the learning rate; with 0.01 every arm is much worse, with 0.003 and σ = 0.9 it is `better`."""
    study = Sheet()
    for seed in SEEDS:
        study.train(seed, 0.1 + 0.001 * seed, 0.1 + 0.001 * seed, role="baseline", lr=0.001, **params)
    for number, rate in enumerate(RATES):
        for sigma in (0.0, 0.3, 0.9):
            mean = 0.3 if rate == 0.01 else better if (rate, sigma) == (0.003, 0.9) else 0.1
            for seed in SEEDS:
                error = mean + 0.001 * seed + 0.0001 * ((number + seed * 7 + round(10 * sigma)) % 3)
                study.train(seed, error, error, sigma=sigma, alpha=0.5, lr=rate, **params)
    return study


def the_map(study: Sheet) -> ImprovementMap:
    (found,) = maps_of(table_of(study.tracked()))
    return found


def test_sigma_and_the_learning_rate_make_a_map() -> None:
    found = the_map(over_rates())
    assert (found.across, found.down) == ("σ", "lr")
    assert (found.columns, found.rows) == ([0.0, 0.3, 0.9], list(RATES))
    assert len(found.cells) == 9
    assert found.cells[0.9, 0.003].arm.sigma == 0.9
    assert found.cells[0.9, 0.003].settings["lr"] == 0.003


@pytest.mark.parametrize(
    "means",
    [
        {},
        OVER_SIGMA,
        {(0, 0): 0.1, (0.1, 0.5): 0.1, (0.5, 0.9): 0.1},
        {(0, 0): 0.1, **{(sigma, sigma): 0.1 for sigma in (0.1, 0.3, 0.5, 0.7)}},
    ],
    ids=["no trials", "one setting", "a diagonal", "a long diagonal"],
)
def test_other_studies_have_no_map(means: dict[tuple[float, float], float]) -> None:
    assert maps_of(table_of(Sheet().grid(means).tracked())) == []


def test_readings_are_rows_in_the_order_of_reading() -> None:
    study = Sheet().grid({(0, 0): 0.1, (0.1, 0.5): 0.1, (0.5, 0.5): 0.1})
    study.grid({(0.1, 0.5): 0.1, (0.5, 0.5): 0.1}, noise_form="additive")
    study.grid({(0.1, 0.5): 0.1, (0.5, 0.5): 0.1}, noise="frozen")
    found = the_map(study)
    assert (found.across, found.down) == ("σ", "noise")
    assert found.rows == ["section_5_2", "section_4_1", "equation_2"]


def test_the_share_of_the_data_of_joined_studies_is_an_axis() -> None:
    study = Sheet().grid({(0, 0): 0.1})
    for fraction in (0.01, 0.05, 0.2):
        study.grid({(0.1, 0.5): 0.1, (0.5, 0.5): 0.1}, fraction=fraction)
    assert (the_map(study).down, the_map(study).rows) == ("fraction", [0.01, 0.05, 0.2])


def test_a_third_setting_makes_several_maps() -> None:
    study = over_rates()
    for rate in RATES:
        study.grid({(0.3, 0.9): 0.1, (0.9, 0.9): 0.1}, lr=rate)
    maps = maps_of(table_of(study.tracked()))
    assert [(found.across, found.down, found.constant) for found in maps] == [
        ("σ", "α", (("lr", rate),)) for rate in RATES
    ]
    headings = [sketch.heading for sketch in study.sketches().sketches if sketch.name.startswith("improvement-map")]
    assert headings[0] == "Improvement over σ and α: noisy teacher, lr = 0.001"


def test_the_longer_axis_is_vertical() -> None:
    values = [round(0.1 * number, 1) for number in range(1, improvement_map.MAX_COLUMNS + 2)]
    study = Sheet().grid({(0, 0): 0.1, **{(sigma, alpha): 0.1 for sigma in values for alpha in (0.1, 0.9)}}, seeds=[0])
    assert (the_map(study).across, the_map(study).down) == ("α", "σ")


@pytest.mark.parametrize(
    ("better", "title"),
    [
        (0.10, "3 of 9 cells are worse than the baseline, none is better"),
        (0.05, "1 of 9 cells is better than the baseline, 3 worse"),
    ],
)
def test_the_title_counts_the_verdicts(better: float, title: str) -> None:
    assert improvement_map.sketch(the_map(over_rates(better)), several=False).title == title


def test_one_seed_has_no_verdict() -> None:
    study = Sheet().grid({(0, 0): 0.1, (0.1, 0.1): 0.1, (0.1, 0.9): 0.1, (0.5, 0.1): 0.1, (0.5, 0.9): 0.1}, seeds=[0])
    shown = improvement_map.sketch(the_map(study), several=False)
    assert shown.title == "No cell has a verdict (one seed: no interval)"
    assert "n: – no verdict." in shown.caption
    assert "n = 1 seed a cell" in shown.caption


def test_every_cell_has_its_improvement_verdict_and_n() -> None:
    study = over_rates(0.05)
    study.train(7, None, None, outcome="diverged", sigma=0.9, alpha=0.5, lr=0.01)
    found = the_map(study)
    figure = improvement_map.sketch(found, several=False).draw()
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert len(cells) == 9
    assert sum(bool(re.fullmatch(r"[+−]?\d+\.\d %\n[▲▼?] n=3", cell)) for cell in cells) == 8
    assert cells.count("× n=3 of 4") == 1
    assert sum("▲" in cell for cell in cells) == 1
    caption = improvement_map.sketch(found, several=False).caption
    assert "▲ better, ▼ worse, ? undecided." in caption
    assert "Grey with ×: seeds were lost" in caption
    assert "The baseline has lr = 0.001." in caption


def test_cells_that_were_not_tried_are_empty_and_counted() -> None:
    study = Sheet().grid({(0, 0): 0.1, (0.1, 0.1): 0.1, (0.1, 0.9): 0.1, (0.5, 0.1): 0.1})
    shown = improvement_map.sketch(the_map(study), several=False)
    assert "1 empty cell was not tried." in shown.caption
    assert len(shown.draw().axes[0].texts) == 3


def test_the_text_alternative_has_every_cell() -> None:
    shown = improvement_map.sketch(the_map(over_rates(0.05)), several=False)
    cells = shown.alternative.rstrip(".").split("; ")
    assert len(cells) == 9
    assert all(re.fullmatch(r"σ = [\d.]+, lr = [\d.]+: [+−]?\d+\.\d %, [a-z ]+, n = 3", cell) for cell in cells)
    assert any(cell.startswith("σ = 0.9, lr = 0.003: +49") and ", better, " in cell for cell in cells)


def test_of_many_maps_the_first_are_shown() -> None:
    study = Sheet().grid({(0, 0): 0.1}, seeds=[0])
    for rate in range(1, improvement_map.MAX_MAPS + 3):
        study.grid({(s, a): 0.1 for s in (0.1, 0.5) for a in (0.1, 0.9)}, seeds=[0], lr=rate / 1000, dropout=rate / 10)
    shown = [sketch for sketch in study.sketches().sketches if sketch.name.startswith("improvement-map")]
    assert len(shown) == improvement_map.MAX_MAPS
    assert shown[-1].caption.endswith("Left out: 2 maps of this student.")


def test_text_in_cells_has_enough_contrast() -> None:
    """The colours of cells and their text are the same in both themes of the page."""
    theme_colours = {light for light, _ in COLOURS.values()}
    ramp = np.linspace(0, 1, 50)
    for face in [*shades(), *(f"#{round(255 * x):02x}{round(255 * x):02x}{round(255 * x):02x}" for x in ramp)]:
        rgb = [int(face[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        text = text_colour(rgb)
        assert text not in theme_colours
        assert contrast(face, text) >= 4.5


def test_better_and_worse_differ_in_lightness_or_mark() -> None:
    """In black and white a better cell may look like a worse one. The marks and signs differ."""
    assert improvement_map.MARKS["better"] != improvement_map.MARKS["worse"]
    assert len({*improvement_map.MARKS.values(), improvement_map.NO_VERDICT, improvement_map.LOST}) == 6


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
