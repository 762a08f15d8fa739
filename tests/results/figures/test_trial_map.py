"""The map of all trials over σ and α."""

import pytest
from support.sheet import SEEDS, Sheet

from study.results.figures import (
    trial_map,
)


def test_a_map_has_every_trial_by_its_stage_and_outcome() -> None:
    study = Sheet()
    study.train(9, 0.12, stage="search", sigma=0.2, alpha=0.3)
    study.train(9, 0.11, stage="search", sigma=0.4, alpha=0.6)
    study.train(9, 0.50, stage="search", outcome="pruned", sigma=1.9, alpha=0.9)
    study.train(9, None, stage="search", outcome="diverged", sigma=2.0, alpha=1.0)
    for seed in SEEDS:
        study.train(seed, 0.10 + seed / 100, 0.1, sigma=0.4, alpha=0.6, stage="confirm")
        study.train(seed, 0.20 + seed / 100, 0.1, sigma=0.1, alpha=0.5)
    (found,) = trial_map.maps_of(study.tracked())
    assert [spot.val_error for spot in found.of("completed", "search")] == [0.12, 0.11]
    (gridded,) = found.of("completed", "grid")
    assert gridded.n == 3
    assert gridded.val_error == pytest.approx(0.21)
    assert [(spot.sigma, spot.alpha) for spot in found.of("pruned", "search")] == [(1.9, 0.9)]
    assert [(spot.sigma, spot.alpha) for spot in found.of("failed", "search")] == [(2.0, 1.0)]
    assert [(spot.sigma, spot.n) for spot in found.of("completed", "confirm")] == [(0.4, 3)]
    shown = trial_map.sketch(found, several=False)
    assert shown.title == "Lowest validation error, 11.00 %, at σ = 0.4, α = 0.6"
    assert "Crosses: 1 trial stopped early" in shown.caption


def test_trials_of_the_baselines_own_search_are_not_on_the_map() -> None:
    study = Sheet()
    for number in range(5):
        study.train(9, 0.1, role="baseline", stage="search", lr=0.001 * (number + 1))
    assert study.names() == []


def test_very_many_trials_are_one_image_in_the_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    study = Sheet()
    for number in range(30):
        study.train(9, 0.1 + number / 100, stage="search", sigma=number / 10, alpha=number % 7 / 7)
    (found,) = trial_map.maps_of(study.tracked())
    assert "<image" not in trial_map.sketch(found, several=False).finish().svg
    monkeypatch.setattr(trial_map, "MANY", 30)
    assert "<image" in trial_map.sketch(found, several=False).finish().svg
