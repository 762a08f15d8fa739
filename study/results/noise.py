"""Reads the noise of a run from its parameters.

Works on parameters as text. Knows nothing of rows.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from study.noise.settings import FORMER_WORDS, Noise, noise_label
from study.tracking import schema

NOISE_PARAMETERS: Mapping[str, str] = {schema.NOISE_SETTING + name: name for name in Noise.model_fields}
"""The parameters of the settings of the noise, each with the setting's name."""


def noise_of(params: Mapping[str, str]) -> tuple[str | None, Noise | None]:
    """The noise of a run.

    Args:
        params: the parameters of the run. Runs of earlier versions have only `noise`.

    Returns:
        its label, which differs for different settings, and its settings. The label is `fresh` for the default,
        `frozen` for one draw per image, and otherwise a reading or the settings in words. Both are None if the run has
        no such parameter. The settings are also None if this version does not know them.
    """
    given = {name: params[parameter] for parameter, name in NOISE_PARAMETERS.items() if parameter in params}
    word = params.get(schema.NOISE)
    if word is None and not given:
        return None, None
    try:
        former = Noise() if word is None else FORMER_WORDS[word]
        noise = Noise.model_validate({**former.changes, **given})
    except (KeyError, ValidationError):
        words = [] if word is None else [word]
        return ", ".join(words + [f"{name} {value}" for name, value in given.items()]), None
    return noise_label(noise), noise
