"""The training settings of a search. The noisy arms and their baseline are searched over the same ones.

Works on Optuna's trials and the ranges of a study file. Knows nothing of noise.
"""

from collections.abc import Mapping
from typing import Any

from optuna.trial import BaseTrial

from study.config import SearchedSetting, SettingRange, TrainConfig


def suggest_training(trial: BaseTrial, settings: Mapping[str, SearchedSetting]) -> dict[str, Any]:
    """Values for the searched training settings, by name.

    Args:
        trial: suggests each setting under the name of the setting (`lr`, `schedule`, ...).
        settings: a range, or a list of values to choose from.
    """
    return {name: _suggest(trial, name, setting) for name, setting in settings.items()}


def _suggest(trial: BaseTrial, name: str, setting: SettingRange | tuple[Any, ...]) -> Any:
    if not isinstance(setting, SettingRange):
        return trial.suggest_categorical(name, setting)
    if TrainConfig.model_fields[name].annotation is int:
        return trial.suggest_int(name, int(setting.low), int(setting.high), log=setting.is_log)
    return trial.suggest_float(name, setting.low, setting.high, log=setting.is_log)
