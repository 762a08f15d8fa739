"""The recipe `quickstart` shows a decided row and an undecided one, and that does not depend on its seeds."""

from pathlib import Path

import pytest
from support.ran import ran_study

from study.lookup import study_of
from study.results.table import table_of

SEEDS = "seeds=[20, 21, 22, 23, 24, 25, 26, 27]"
"""None of them is a seed of the recipe, nor of the study by which its arms were chosen."""


@pytest.mark.slow
def test_eight_other_seeds_give_the_same_verdicts(tmp_path: Path) -> None:
    """Real trainings at full size, one after another."""
    ran = ran_study(study_of("quickstart", [SEEDS]), tmp_path, tmp_path)
    verdicts = {(row.arm.method, row.arm.sigma): row.verdict for row in table_of(ran.tracked).rows}
    assert verdicts[("labels", None)] == "better"
    assert verdicts[("noisy_teacher", 0.1)] == "undecided"
    assert verdicts[("noisy_teacher", 3.0)] == "worse"


def test_the_recipe_has_three_arms_eight_seeds_and_no_search() -> None:
    recipe = study_of("quickstart")
    assert sum(arm.size for arm in recipe.arms) == 3
    assert len(recipe.seed_list) == 8
    assert recipe.search is None
    assert study_of("quickstart-search").search is not None
