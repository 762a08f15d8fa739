"""The look of all figures: contrast, lines, names."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.results.figures import noise_lines
from study.results.figures.style import LINE_COLOURS, line_look, theme
from study.results.wording import plain


@given(st.text())
def test_a_name_is_drawn_in_one_short_line(name: str) -> None:
    shown = plain(name)
    assert len(shown) <= 40
    assert not shown or shown.isprintable()


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, "relative luminance")."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(dark: bool) -> None:
    colours = theme(dark)
    for name in ("ink", "muted"):
        pair = sorted(_luminance(colours[f"--figure-{which}"]) for which in (name, "surface"))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_lines_differ_in_colour_and_in_dash_or_marker() -> None:
    looks = [line_look(index) for index in range(noise_lines.MAX_LINES)]
    assert len({look["color"] for look in looks}) == len(LINE_COLOURS)
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == len(looks)
    for one, other in combinations(looks, 2):  # lines of one colour differ in dash and in marker
        if one["color"] == other["color"]:
            assert one["linestyle"] != other["linestyle"]
            assert one["marker"] != other["marker"]
