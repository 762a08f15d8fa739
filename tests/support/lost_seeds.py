"""A study whose arms lost seeds to trainings that diverged or failed.

A pytest plugin, for a module that also names `support.handwritten`. It asserts nothing (PYTEST_DONT_REWRITE: it is
imported before it is a plugin).
"""

from collections.abc import Callable
from typing import Any

import pytest

from support.handwritten import Writer

BASELINE = {0: 0.0770, 1: 0.0812, 2: 0.0795, 3: 0.0801, 4: 0.0784}

SURVIVORS = {0: 0.0655, 1: 0.0687}
"""The errors that are left of five seeds. Alone they would be 14.9 % better than the baseline, p 0.001."""

GOOD = {0: 0.0700, 1: 0.0730, 2: 0.0722, 3: 0.0719, 4: 0.0711}


@pytest.fixture
def study_with_lost_seeds(new_study: Callable[..., Writer]) -> Writer:
    """Five seeds: a baseline, an arm that keeps all, one that lost three, one that lost all."""
    study = new_study(seeds="0,1,2,3,4")
    study.baseline(BASELINE)
    study.arm(GOOD, sigma=0.1, alpha=0.5)
    study.arm(SURVIVORS, sigma=0.3, alpha=0.5)
    lost(study, 2, 3, 4, sigma=0.3, alpha=0.5)
    lost(study, 0, 1, 2, 3, 4, sigma=0.9, alpha=0.5)
    return study


def lost(study: Writer, *seeds: int, outcome: str = "diverged", **params: Any) -> None:
    """Write trials without a test error."""
    for seed in seeds:
        study.trial(seed, None, outcome=outcome, **params)
