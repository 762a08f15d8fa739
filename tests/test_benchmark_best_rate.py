"""Arms of several learning rates against the baseline at its best rate, and at their own."""

from typing import Any

import numpy as np
import pytest

from benchmarks import best_rate


def _row(lr: float, mean: float, sigma: float | None, seed: int) -> dict[str, Any]:
    errors = mean + np.random.default_rng(seed).normal(0, 0.001, 5)
    return {
        "method": "logit_regression" if sigma is None else "noisy_teacher",
        "reading": None if sigma is None else "section_4_1",
        "lr": lr,
        "sigma": sigma,
        "n": 5,
        "errors": {str(number): float(error) for number, error in enumerate(errors)},
        "test_error_mean": float(np.mean(errors)),
    }


ROWS = [
    _row(0.001, 0.30, None, 1),
    _row(0.01, 0.40, None, 2),
    _row(0.001, 0.30, 0.3, 3),
    _row(0.001, 0.33, 0.9, 4),
    _row(0.01, 0.35, 0.3, 5),
    _row(0.01, 0.36, 0.9, 6),
]
"""Noise makes up for a learning rate that is too high, and for nothing else."""

VALIDATION = {0.01: [0.39, 0.41], 0.001: [0.31, 0.30]}


def test_the_best_rate_is_chosen_by_validation_errors() -> None:
    assert best_rate.best_rate(VALIDATION) == 0.001


def test_arms_beat_their_own_rate_and_not_the_best_one() -> None:
    found = best_rate.compared(ROWS, 0.001)
    assert [(each.arm["lr"], each.arm["sigma"]) for each in found] == [
        (0.001, 0.3),
        (0.001, 0.9),
        (0.01, 0.3),
        (0.01, 0.9),
    ]
    assert [each.own.verdict for each in found] == ["undecided", "worse", "better", "better"]
    assert [each.best.verdict for each in found] == ["undecided", "worse", "worse", "worse"]
    assert found[2].own.improvement_percent == pytest.approx(12.5, abs=1)


def test_the_page_has_the_baselines_and_the_arms() -> None:
    page = best_rate.blocks(ROWS, VALIDATION)
    assert "| 0.001 (best) | 5 | 30.50 |" in page
    assert page.count("| learning rate 0.01, `section_4_1`, σ = ") == 2
