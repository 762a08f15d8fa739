"""What a search proposes for one of its trials: an arm of its space, or settings for the baseline.

Works on Optuna's trials and a study file. Knows nothing of journals or of how a trial is trained.
"""

from collections.abc import Callable

from optuna.exceptions import TrialPruned
from optuna.trial import BaseTrial

from search_spaces.spaces import Space
from search_spaces.training import suggest_training
from study.config import ArmConfig, StudyConfig, TrialConfig
from study.errors import UserError
from study.planning.plan import search_trial, with_training


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
