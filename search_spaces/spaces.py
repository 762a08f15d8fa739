"""Define-by-run search spaces: each proposes one arm from what Optuna's trial suggests.

Works on `trial.suggest_*` and config models. Knows nothing of Ray, MLflow or how an arm is trained. A user's own
space is any function of this shape, named `module:function` in the study file.
"""

import importlib
import os
import sys
from collections.abc import Callable

import optuna

from study.config import ArmConfig, nearest
from study.errors import UserError

Space = Callable[[optuna.Trial], ArmConfig]


def sigma_alpha(trial: optuna.Trial) -> ArmConfig:
    """The noisy teacher over σ in [0.01, 2] and α in [0, 1]."""
    return ArmConfig(
        method="noisy_teacher",
        sigma=(trial.suggest_float("sigma", 0.01, 2.0),),
        alpha=(trial.suggest_float("alpha", 0.0, 1.0),),
    )


def soft_targets(trial: optuna.Trial) -> ArmConfig:
    """Soft targets over τ in [1, 20], evenly in its logarithm, and the labels' weight 1 − λ in [0, 1]."""
    return ArmConfig(
        method="soft_targets",
        temperature=(trial.suggest_float("temperature", 1.0, 20.0, log=True),),
        hard_loss_weight=(trial.suggest_float("hard_loss_weight", 0.0, 1.0),),
    )


SPACES: dict[str, Space] = {"sigma_alpha": sigma_alpha, "soft_targets": soft_targets}


def get_space(name: str) -> Space:
    """A space of this module by name, or a user's own as `module:function`.

    Raises:
        UserError: there is none of that name, or it cannot be imported.
    """
    if ":" not in name:
        if name not in SPACES:
            raise UserError(f"search.space: unknown space `{name}`{nearest(name, SPACES)}, or module:function")
        return SPACES[name]
    module, _, function = name.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # a command's own folder is on the path, the working folder is not
    try:
        space = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"search.space: cannot import {name} ({error}); give module:function on the path") from None
    if not callable(space):
        raise UserError(f"search.space: {name} is not a function of an optuna.Trial that returns an ArmConfig")
    found: Space = space
    return found
