"""The importance of the searched parameters."""

from typing import Any

import numpy as np
import pytest
from support.sheet import Sheet

from study.results.figures import (
    importance,
)


def test_importances_need_twenty_completed_search_trials() -> None:
    study = Sheet()
    for number in range(19):
        study.train(9, 0.1 + number / 100, stage="search", sigma=0.1 * number, alpha=(number * 7 % 19) / 19)
    study.train(9, 0.2, stage="search", outcome="pruned", sigma=0.55, alpha=0.55)
    assert study.names() == ["sigma-alpha-map"]
    study.train(9, 0.2, stage="search", sigma=0.66, alpha=0.66)
    assert study.names() == ["sigma-alpha-map", "parameter-importances"]


def test_the_decisive_parameter_is_the_most_important() -> None:
    study, chance = Sheet(), np.random.default_rng(0)
    for _ in range(40):
        sigma, alpha = chance.uniform(0.01, 2), chance.uniform(0, 1)
        study.train(9, 0.1 + (sigma - 0.5) ** 2 / 10, stage="search", sigma=sigma, alpha=alpha)
    found = importance.importances_of(study.tracked())
    assert found is not None
    assert list(found.shares) == ["sigma", "alpha"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["sigma"] > 0.7
    assert (found.trials, found.quantile) == (40, 0.125)


def test_importances_handle_words_and_gaps() -> None:
    """Importances handle parameters whose values are words and parameters that some trials lack."""
    study = Sheet()
    for number in range(30):
        more: dict[str, Any] = {"momentum": 0.1 * (number % 9)} if number % 2 else {}
        optimizer = "sgd" if number % 2 else "adam"
        study.train(9, 0.3 - 0.2 * (number % 2), stage="search", sigma=0.5, alpha=0.5, optimizer=optimizer, **more)
    found = importance.importances_of(study.tracked())
    assert found is not None
    assert set(found.shares) == {"optimizer", "momentum"}
