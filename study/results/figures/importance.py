"""The importance of the searched parameters, by Optuna's own evaluator.

Works on the completed trials of the search, which it adds to an Optuna study in memory. It takes the ranges from the
values that were tried, because the search space may be a user's function, and a figure must not run it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from study.results import frames
from study.results.figures.material import Material
from study.results.figures.style import Sketch, canvas, colour
from study.results.read import TrackedStudy
from study.results.wording import count, plain
from study.stages import SEARCH
from study.tracking import schema

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MIN_TRIALS = 20
_GOOD_TRIALS = 5
"""How many trials should be among the best for the evaluator, by its documentation."""

_NOT_SEARCHED = frozenset({schema.SEED, schema.MULTIPLICATIONS, schema.PARAMETERS, schema.TEACHER_MULTIPLICATIONS})
_SYMBOLS = {schema.SIGMA: "σ", schema.ALPHA: "α"}


@dataclass(frozen=True)
class Importances:
    """The importance of each parameter, as shares that sum to 1, highest first.

    Attributes:
        shares: by parameter.
        trials: the number of trials from which they are computed.
        quantile: the share of trials that count as the best ones.
    """

    shares: Mapping[str, float]
    trials: int
    quantile: float


def importances_of(tracked: TrackedStudy) -> Importances | None:
    """The importances of a search. None below 20 completed trials, or if fewer than two parameters were searched."""
    trials = tracked.trials
    chosen = (
        (frames.text(trials, f"tags.{schema.STAGE}") == SEARCH)
        & (frames.text(trials, f"tags.{schema.OUTCOME}") == "completed")
        & (frames.text(trials, f"tags.{schema.ROLE}") == "arm")
        & frames.number(trials, f"metrics.{schema.BEST_VAL_ERROR}").notna()
    )
    searched = trials[chosen]
    names = [
        name.removeprefix("params.")
        for name in searched.columns
        if name.startswith("params.")
        and name.removeprefix("params.") not in _NOT_SEARCHED
        and searched[name].nunique() > 1
    ]
    if len(searched) < MIN_TRIALS or len(names) < 2:
        return None
    return _evaluate(searched, names)


def _evaluate(searched: pd.DataFrame, names: list[str]) -> Importances:
    # Importing Optuna takes time, so it is imported only for a study with a search.
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    values = {name: _values(searched[f"params.{name}"]) for name in names}
    ranges = {name: _range(of_name) for name, of_name in values.items()}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="minimize")
        for index, error in enumerate(frames.number(searched, f"metrics.{schema.BEST_VAL_ERROR}")):
            known = {name: of_name.iloc[index] for name, of_name in values.items() if pd.notna(of_name.iloc[index])}
            study.add_trial(
                create_trial(params=known, distributions={name: ranges[name] for name in known}, value=error)
            )
        quantile = max(0.1, _GOOD_TRIALS / len(searched))
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))
    finally:
        optuna.logging.set_verbosity(verbosity)
    return Importances(dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))), len(searched), quantile)


def _values(column: "pd.Series[str]") -> "pd.Series[Any]":
    """Numbers if all values are numbers, otherwise text."""
    numbers = pd.to_numeric(column, errors="coerce")
    is_number = numbers.notna() & (numbers.abs() < math.inf)
    return numbers if bool((is_number | column.isna()).all()) else column


def _range(values: "pd.Series[Any]") -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    known = values.dropna()
    if not pd.api.types.is_numeric_dtype(known):
        return CategoricalDistribution(sorted(set(known)))
    low, high = float(known.min()), float(known.max())
    return FloatDistribution(low, high, log=low > 0 and high > 100 * low)


# ------------------------------------------------------------------------------------------------------------ words


def sketches(material: Material) -> list[Sketch]:
    """One figure, if the search has enough completed trials."""
    found = importances_of(material.tracked)
    return [] if found is None else [sketch(found)]


def sketch(shown: Importances) -> Sketch:
    """The figure."""
    first, share = next(iter(shown.shares.items()))
    return Sketch(
        name="parameter-importances",
        heading="Which searched parameters mattered",
        title=f"{_name(first)} matters most among {count(len(shown.shares), 'searched parameter')}: {share:.0%} of the "
        "importance".replace("%", " %"),
        caption="Importance by PED-ANOVA, as Optuna computes it: how much a parameter decides whether a trial is among "
        f"the best {shown.quantile:.0%} of {shown.trials} completed search trials by validation error, over the ranges "
        "that were tried. Each trial has one seed (n = 1 seed). Trials that were stopped early or failed are not "
        "counted. An important parameter is worth a closer look. It need not lower the error.".replace("%", " %"),
        draw=lambda: _draw(shown),
    )


def _name(parameter: str) -> str:
    return _SYMBOLS.get(parameter, plain(parameter.replace("_", " ")))


def _draw(shown: Importances) -> Figure:
    names = [_name(name) for name in shown.shares][::-1]
    shares = [100 * share for share in shown.shares.values()][::-1]
    figure, (axes,) = canvas(height=1.6 + 0.36 * len(names))
    bars = axes.barh(range(len(names)), shares, color=colour("blue"), height=0.62)
    axes.bar_label(bars, labels=[f"{share:.0f} %" for share in shares], padding=4)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("share of the importance (%)")
    axes.set_xlim(0, max(shares) * 1.15)
    axes.grid(visible=False, axis="y")
    axes.set_title(f"{count(shown.trials, 'completed search trial')}, n = 1 seed each")
    return figure
