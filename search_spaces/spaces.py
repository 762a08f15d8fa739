"""Define-by-run search spaces: each proposes one arm of a study from the values that Optuna's trial suggests.

Works on `trial.suggest_*` and config models. Knows nothing of Ray, MLflow or how an arm is trained. A user's own
space is any function of this shape, named `module:function` in the study file.

Every parameter has one name and one range. If a range depends on another parameter's value, a sampler learns it
separately for each of these values, or does not model it.
"""

import importlib
import os
import sys
from collections.abc import Callable

from optuna.trial import BaseTrial

from models.width import hidden_layers, widen
from study.config import ArmConfig, ArmStudent, StudyConfig, Uniform, nearest
from study.errors import UserError
from study.noise.settings import READINGS

Space = Callable[[BaseTrial, StudyConfig], ArmConfig]
"""A function of a trial and its study. For one study, the arm depends only on what the trial suggests."""

LOWEST_SIGMA, HIGHEST_SIGMA = 0.01, 2.0


def sigma_alpha(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    """The noisy teacher over σ in [0.01, 2] and α in [0, 1]."""
    return ArmConfig(method="noisy_teacher", sigma=(_sigma(trial, "sigma"),), alpha=(_alpha(trial, "alpha"),))


def randomized_sigma(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    """The noisy teacher with σ ~ U[low, high] for every mini-batch, over both ends in [0.01, 2] and α in [0, 1].

    The parameters are the high end, and the position of the low end between 0.01 (a share of 0) and the high end (a
    share of 1). So every pair with low ≤ high can be proposed, and no other pair. The published draw (Sau &
    Balasubramanian 2016, section 5.4) has a high end of 1 and a share of 0. A share of 1 is a fixed σ.
    """
    return ArmConfig(
        method="noisy_teacher",
        sigma=(_uniform(trial, "sigma_high", "sigma_low_share"),),
        alpha=(_alpha(trial, "alpha"),),
    )


def noise_kind(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    """Which noise, and how much of it: σ fixed, σ drawn for every mini-batch, on the student's logits, or none.

    `none` is logit regression, the baseline's method. Because it is in the space, the search can find that no noise is
    best. It has no parameters, so one trial of it is enough.

    The parameters of each kind have names of their own, and the ranges of `sigma_alpha` and `randomized_sigma`. With
    the same name in two kinds, a sampler would use the best σ of one kind for the other, although the two are different
    quantities: noise on the student's logits is a penalty on their size, noise on the teacher's logits is not.

    TPE models every parameter from the trials that have it. GP and CMA-ES model only the parameters that all trials
    have, and QMC only those that the first trial has. They draw the other parameters at random.
    """
    kind = trial.suggest_categorical("noise_kind", ("fixed", "random", "student", "none"))
    match kind:
        case "fixed":
            return ArmConfig(
                method="noisy_teacher",
                sigma=(_sigma(trial, "fixed_sigma"),),
                alpha=(_alpha(trial, "fixed_alpha"),),
            )
        case "random":
            return ArmConfig(
                method="noisy_teacher",
                sigma=(_uniform(trial, "random_sigma_high", "random_sigma_low_share"),),
                alpha=(_alpha(trial, "random_alpha"),),
            )
        case "student":
            return ArmConfig(
                method="noisy_student",
                sigma=(_sigma(trial, "student_sigma"),),
                alpha=(_alpha(trial, "student_alpha"),),
            )
        case _:
            return ArmConfig(method="logit_regression")


def soft_targets(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    """Soft targets over τ in [1, 20] on a logarithmic scale, and the weight of the labels, 1 − λ, in [0, 1]."""
    return ArmConfig(
        method="soft_targets",
        temperature=(trial.suggest_float("temperature", 1.0, 20.0, log=True),),
        hard_loss_weight=(trial.suggest_float("hard_loss_weight", 0.0, 1.0),),
    )


def student_width(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    """The width of every hidden layer of the study's student, and the σ and α of its noisy teacher.

    It is made for two objectives, validation error and multiplications. The width of each convolution and each hidden
    fully connected layer is multiplied by 0.25, 0.5, ... or 1.5 (`width_conv1`, `width_fc1`). Fully connected layers
    are included because they have most of the parameters of the sources' students, and some of these students have no
    other layers.

    The multipliers are numbers with a step, and not choices, so that TPE and GP know that 0.5 is between 0.25 and 0.75.
    They are not continuous, because a confirmed point needs a baseline of its own width, and points of equal widths
    share a baseline.

    Raises:
        NotationError: the student is a network without a line of notation, such as a ResNet.
    """
    student = study.student.network
    widths = {layer: trial.suggest_float(f"width_{layer}", 0.25, 1.5, step=0.25) for layer in hidden_layers(student)}
    return ArmConfig(
        method="noisy_teacher",
        sigma=(_sigma(trial, "sigma"),),
        alpha=(_alpha(trial, "alpha"),),
        student=ArmStudent(network=(widen(student, widths),)),
    )


def any_reading(trial: BaseTrial, study: StudyConfig) -> ArmConfig:
    """The noisy teacher over the readings of the paper, the size of the noise, α, its schedule and the learning rate.

    The size is relative to the logits, in [0.01, 2], on a logarithmic scale. It is σ itself for the multiplicative
    readings and for chan_2017, and σ in units of the root mean square of the teacher's logits for the additive
    readings. So a sampler can compare readings that differ by orders of magnitude at equal σ.

    A baseline with the same budget over the learning rate needs `search.train: {lr: …}`. Then the learning rate is not
    proposed here, so that the arms and the baseline search the same range.
    """
    noise = READINGS[trial.suggest_categorical("reading", tuple(READINGS))]
    schedule = trial.suggest_categorical("noise_schedule", ("constant", "linear", "cosine"))
    size = trial.suggest_float("relative_sigma", LOWEST_SIGMA, HIGHEST_SIGMA, log=True)
    alpha = _alpha(trial, "alpha")
    searched = study.search.train if study.search is not None else {}
    rate = {} if "lr" in searched else {"lr": (trial.suggest_float("lr", 1e-4, 1e-2, log=True),)}
    return ArmConfig(
        method="noisy_teacher",
        sigma=(size,),
        sigma_unit=("logit_rms",),
        alpha=(alpha,),
        noise=(noise.model_copy(update={"schedule": schedule}),),
        train=rate or None,
    )


SPACES: dict[str, Space] = {
    "sigma_alpha": sigma_alpha,
    "randomized_sigma": randomized_sigma,
    "noise_kind": noise_kind,
    "soft_targets": soft_targets,
    "student_width": student_width,
    "any_reading": any_reading,
}


def get_space(name: str) -> Space:
    """A space of this module by name, or a user's own space as `module:function`.

    Raises:
        UserError: there is no space of that name, or it cannot be imported.
    """
    if ":" not in name:
        if name not in SPACES:
            raise UserError(f"search.space: unknown space `{name}`{nearest(name, SPACES)}, or module:function")
        return SPACES[name]
    module, _, function = name.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # the folder of a command is on the path, the working folder is not
    try:
        space = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"search.space: cannot import {name} ({error}); give module:function on the path") from None
    if not callable(space):
        raise UserError(
            f"search.space: {name} is not a function of an optuna trial and a StudyConfig that returns an ArmConfig"
        )
    found: Space = space
    return found


def _sigma(trial: BaseTrial, name: str) -> float:
    return trial.suggest_float(name, LOWEST_SIGMA, HIGHEST_SIGMA)


def _alpha(trial: BaseTrial, name: str) -> float:
    return trial.suggest_float(name, 0.0, 1.0)


def _uniform(trial: BaseTrial, high_name: str, low_share_name: str) -> Uniform:
    high = _sigma(trial, high_name)
    low = LOWEST_SIGMA + trial.suggest_float(low_share_name, 0.0, 1.0) * (high - LOWEST_SIGMA)
    return Uniform(uniform=(min(low, high), high))  # rounding can make `low` larger than the high end
