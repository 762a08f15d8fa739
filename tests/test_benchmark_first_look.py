"""The first look of a study, with the arms that learn nothing in a family of their own."""

from typing import Any

import numpy as np

from benchmarks import first_look


def _row(reading: str | None, mean: float, spread: float, seed: int, seeds: int = 8) -> dict[str, Any]:
    errors = mean + np.random.default_rng(seed).normal(0, spread, seeds)
    return {
        "method": "logit_regression" if reading is None else "noisy_teacher",
        "verdict": "baseline" if reading is None else "undecided",
        "reading": reading,
        "sigma": None if reading is None else 0.9,
        "sigma_unit": None if reading is None else "logit_rms",
        "alpha": None if reading is None else 0.5,
        "errors": {str(number): float(error) for number, error in enumerate(errors)},
    }


ROWS = [
    _row(None, 0.013, 0.0003, 1),
    _row("equation_2", 0.013, 0.0003, 2),
    _row("section_5_2", 0.020, 0.0003, 3),
    _row(first_look.APART, 0.80, 0.05, 4),
]


def test_a_collapsed_reading_does_not_hide_the_others() -> None:
    found = {row["reading"]: judged.verdict for row, judged in first_look.judged_apart(ROWS)}
    assert found == {"equation_2": "undecided", "section_5_2": "worse"}


def test_only_the_seeds_of_the_first_look_count() -> None:
    assert {judged.n for _, judged in first_look.judged_apart(ROWS)} == {5}
    changed = [{**row, "errors": {**row["errors"], "7": 0.5}} for row in ROWS]
    assert first_look.block(changed) == first_look.block(ROWS)
