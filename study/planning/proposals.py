"""What a search proposes for one of its trials: an arm of its space, or settings for the baseline.

Works on Optuna's trials and a study file. Knows nothing of journals or of how a trial is trained.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.exceptions import TrialPruned
from optuna.trial import BaseTrial

from search_spaces.grid import edge_points, grid_points
from search_spaces.spaces import Space, get_space
from search_spaces.training import suggest_training
from study.config import ArmConfig, StudyConfig, TrialConfig
from study.errors import UserError
from study.planning.plan import own_code, search_trial, with_training

RANDOM_PROPOSALS = 10
"""How often a search's space is asked at random, beside the edges of its ranges."""


def proposed_arm(
    config: StudyConfig, space: Space, fits: Callable[[TrialConfig], None] = lambda trial: None
) -> Callable[[BaseTrial], ArmConfig]:
    """What the search of a study proposes: an arm of the space, with the training settings that are searched too.

    Args:
        config: the study.
        space: may be a user's.
        fits: raises `UserError` where a proposed training cannot be.

    Returns:
        a function of a trial. It raises `UserError` where the space does not propose one arm that can be trained, and
        `optuna.TrialPruned` where the space raises it to reject a point.
    """
    assert config.search is not None
    name, settings = config.search.space, config.search.train

    def propose(trial: BaseTrial) -> ArmConfig:
        try:
            arm = with_training(space(trial, config), suggest_training(trial, settings))
            fits(search_trial(config, arm))
        except (UserError, TrialPruned):
            raise
        except Exception as error:  # noqa: BLE001 - a user's own function may raise anything
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(f"search.space: {name} does not propose one ArmConfig ({reason})") from None
        return arm

    return propose


def proposed_baseline(config: StudyConfig) -> Callable[[BaseTrial], ArmConfig]:
    """What the baseline's own search proposes: nothing but training settings."""
    assert config.search is not None
    settings = config.search.train
    return lambda trial: with_training(config.baseline, suggest_training(trial, settings))


@dataclass(frozen=True)
class Probed:
    """What a search proposes before it begins.

    Attributes:
        arms: at both ends of every range and for every choice, then at random.
        accepted: how many points the space did not reject; of a search with the sampler `grid`, the grid's too.
    """

    arms: tuple[ArmConfig, ...]
    accepted: int


def probed(config: StudyConfig, fits: Callable[[TrialConfig], None] = lambda trial: None) -> Probed:
    """Ask a search what it proposes. The same study is asked the same.

    Args:
        config: a study with a search.
        fits: as for `proposed_arm`.

    Raises:
        UserError: the space does not propose one arm that can be trained.
    """
    search = config.search
    assert search is not None
    arms: list[ArmConfig] = []
    propose = proposed_arm(config, get_space(search.space), fits)

    def noted(trial: BaseTrial) -> None:
        arms.append(propose(trial))

    accepted = len(edge_points(noted))
    if search.sampler == "grid":
        accepted = len(grid_points(propose, search.grid_points))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Of one study, so that parameters that change from trial to trial are found out.
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(RANDOM_PROPOSALS):
        with suppress(TrialPruned):  # the space rejects this point
            noted(asked.ask())
            accepted += search.sampler != "grid"
    return Probed(tuple(arms), accepted)


def code_to_keep(config: StudyConfig) -> list[str]:
    """Every reference to code of the user that the study file has, or that its search proposes when it is probed."""
    return own_code(config, () if config.search is None else probed(config).arms)
