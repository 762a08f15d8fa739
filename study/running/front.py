"""The Pareto front of trials with two values.

Works on Optuna's trials. Knows nothing of what the values are.
"""

from collections.abc import Iterable

from optuna.trial import FrozenTrial


def pareto_front(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The Pareto front of trials with two values that are minimized.

    Args:
        trials: sorted by their values. Of trials that are equal in both values, the first is kept.
    """
    front: list[FrozenTrial] = []
    for trial in trials:
        if not front or trial.values[1] < front[-1].values[1]:
            front.append(trial)
    return front
