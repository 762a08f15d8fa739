"""What a student learns: the methods, their settings, and how several teachers are combined."""

from collections.abc import Mapping, Sequence
from typing import Literal

from study.config.training import Idle
from study.values import (
    Sigma,
    Uniform,
)

Method = Literal["logit_regression", "noisy_teacher", "noisy_student", "soft_targets", "labels"]
NoiseKind = Literal["fresh", "frozen"]
Combination = Literal["geometric_mean", "signed_geometric_mean", "mean_distribution"]
"""What several teachers say together. The geometric mean is that of their distributions (the arithmetic mean of their
logits), the signed one the literal reading, of the logits themselves; the mean distribution is an ensemble's."""

NOISE_SETTINGS = ("sigma", "alpha", "noise")
METHOD_SETTINGS: dict[Method, tuple[str, ...]] = {
    "logit_regression": (),
    "noisy_teacher": NOISE_SETTINGS,
    "noisy_student": NOISE_SETTINGS,
    "soft_targets": ("temperature", "hard_loss_weight", *NOISE_SETTINGS),
    "labels": (),
}
"""Which settings each method has to itself; what is not listed may not be given. Besides, every method with teachers
takes `combine`, and every method `dropout` and `weight_decay`."""

DEFAULT_ALPHA = 0.5
DEFAULT_TEMPERATURE = 4.0
DEFAULT_HARD_LOSS_WEIGHT = 0.0
DEFAULT_COMBINATION: Combination = "geometric_mean"


def check_method(method: Method, given: Mapping[str, object], combinations: Sequence[Combination]) -> None:
    """Whether a method takes these settings (absent ones are None) and combines teachers in these ways."""
    for setting, value in given.items():
        if value is not None and setting not in METHOD_SETTINGS[method]:
            owners = ", ".join(owner for owner, names in METHOD_SETTINGS.items() if setting in names)
            raise ValueError(f"`{setting}` is not a setting of {method}, but of {owners}")
    if method in ("noisy_teacher", "noisy_student") and given["sigma"] is None:
        raise ValueError(f"{method} needs `sigma` (a standard deviation, a list of them, or a uniform range)")
    if method == "labels" and combinations:
        raise ValueError("`combine` is not a setting of labels, which has no teachers")
    if "mean_distribution" in combinations and method != "soft_targets":
        raise ValueError(
            f"combine: mean_distribution is for soft_targets, not for {method}: a distribution's logarithm stands for "
            "logits only up to a constant"
        )


def idle_settings(
    teachers: int,
    sigma: Sequence[Sigma] | None,
    alpha: Sequence[float] | None,
    hard_loss_weight: Sequence[float] | None,
    combine: Sequence[Combination] | None,
    sigma_is_optional: bool,
) -> Idle:
    """Which settings of a training with teachers have no effect. Where a setting has several values, all are looked at.

    Args:
        teachers: how many it has.
        sigma, alpha, hard_loss_weight, combine: their values; None where they are not given.
        sigma_is_optional: whether the method does without noise, so that nobody had to give a `sigma`.
    """
    if hard_loss_weight and all(weight == 1 for weight in hard_loss_weight):
        for name in ("temperature", "combine", *NOISE_SETTINGS):
            yield (name,), "with hard_loss_weight 1, which learns from the labels alone"
        return
    without = None
    if sigma is None:
        without = "without `sigma`"
    elif not any(_largest(value) for value in sigma):
        without = "with sigma 0"
    if without is not None:
        yield ("alpha",), without
    if without is None and alpha is not None and not any(alpha):
        without = "with alpha 0"
        if sigma_is_optional:
            yield ("sigma",), without
    if without is not None:
        yield ("noise",), without
    # The logarithm of one teacher's distribution is its logits less a constant, which only noise tells apart.
    if teachers == 1 and not (combine and "mean_distribution" in combine and without is None):
        yield ("combine",), "with one teacher"


def _largest(sigma: Sigma) -> float:
    return sigma.high if isinstance(sigma, Uniform) else sigma
