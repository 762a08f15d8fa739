"""Optuna's TPE, proposal for proposal, without reading every trial at every ask.

Works on one Optuna study. At every ask Optuna splits all trials into the best and the others, and reads every parameter
of each, in Python. A search of thousands of trials waits for that longer than for the model itself. Trials that ended
do not change, so here each is read once. Knows nothing of stages or of what a trial trains.

Written for optuna 5.0. It replaces the private method `TPESampler._sample` and the private search for groups of
parameters. With another version, or where the private parts have another shape, `tpe` returns Optuna's own
`TPESampler` with the same settings: the same proposals, more slowly.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from study.adapters.versions import is_version

try:
    from optuna.samplers._tpe.sampler import default_gamma
    from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace, _SearchSpaceGroup
except ImportError:  # another version of Optuna: `reads_once` says so, and nothing below is used
    _GroupDecomposedSearchSpace = object  # type: ignore[misc, assignment]

WRITTEN_FOR = "5.0"

METHODS = {
    "_sample": ["self", "study", "trial", "search_space"],
    "_get_params": ["self", "trial", "study"],
    "_get_internal_repr": ["self", "trials", "search_space", "study"],
    "_compare": ["samples", "acquisition_func_vals"],
    "_compute_acquisition_func": ["self", "samples", "mpe_below", "mpe_above"],
}
"""The private methods of Optuna's sampler that are used, with the names of their arguments."""

ATTRIBUTES = (
    "_constant_liar",
    "_group_decomposed_search_space",
    "_n_ei_candidates",
    "_parzen_estimator_cls",
    "_parzen_estimator_parameters",
    "_rng",
)
"""The private attributes of Optuna's sampler that are used."""


@dataclass
class EndedTrials:
    """The trials of one study that were completed or pruned, as numbers; lives as long as its search."""

    _rows: dict[int, int] = field(default_factory=dict)
    """A trial's place in all that follows, by its number."""
    _params: list[dict[str, Any]] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)
    """NaN for a pruned trial, and where there are several objectives.

    Optuna keeps a pruned trial's last epoch as its value; it ranks pruned trials by their deepest step all the same,
    behind all completed ones.
    """
    _columns: dict[tuple[str, BaseDistribution], list[float]] = field(default_factory=dict)
    """Parameters as their distribution's internal numbers; NaN for a trial that has none of that name."""

    _first: dict[tuple[str, ...], FrozenTrial] = field(default_factory=dict)
    """Of the trials that have the same parameters, the one with the lowest number."""

    def rows(self, trials: Sequence[FrozenTrial]) -> NDArray[np.intp]:
        """The places of these trials, (trials,). All are of one study, and none is running."""
        for trial in trials:
            if trial.number not in self._rows:
                self._keep(trial)
        return np.array([self._rows[trial.number] for trial in trials], dtype=np.intp)

    def _keep(self, trial: FrozenTrial) -> None:
        self._rows[trial.number] = len(self._params)
        self._params.append(trial.params)
        has_value = trial.state == TrialState.COMPLETE and len(trial.values) == 1
        self._values.append(trial.values[0] if has_value else float("nan"))
        names = tuple(trial.distributions)
        if trial.number <= self._first.setdefault(names, trial).number:
            self._first[names] = trial

    def distributions(self) -> list[dict[str, BaseDistribution]]:
        """Those of trials that have different parameters, in the trials' order."""
        return [trial.distributions for trial in sorted(self._first.values(), key=lambda trial: trial.number)]

    def values(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The objective at these places, (rows,); NaN where a trial was pruned, and where there are several."""
        return np.array(self._values)[rows]

    def column(self, name: str, distribution: BaseDistribution, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """A parameter at these places, (rows,), as the distribution's internal numbers; NaN where a trial has none."""
        column = self._columns.setdefault((name, distribution), [])
        for params in self._params[len(column) :]:
            column.append(distribution.to_internal_repr(params[name]) if name in params else float("nan"))
        return np.array(column)[rows]


def reads_once() -> bool:
    """Whether the private parts are those this adapter was written for."""
    if not is_version(optuna.__version__, WRITTEN_FOR) or _GroupDecomposedSearchSpace is object:
        return False
    return (
        all(_arguments(getattr(TPESampler, name, None)) == arguments for name, arguments in METHODS.items())
        and set(ATTRIBUTES) <= set(inspect.unwrap(TPESampler.__init__).__code__.co_names)
        and _arguments(getattr(optuna.Study, "_get_trials", None)) == ["self", "deepcopy", "states", "use_cache"]
        and _arguments(_GroupDecomposedSearchSpace.calculate) == ["self", "study", "use_cache"]
    )


def _arguments(function: object) -> list[str] | None:
    """The names of a function's arguments; None where there is no function."""
    return list(inspect.signature(function).parameters) if callable(function) else None


def tpe(seed: int, startup_trials: int, ended: EndedTrials) -> TPESampler:
    """Multivariate TPE, in groups of parameters that trials have together.

    Args:
        seed: of this ask's draws.
        startup_trials: so many are random before there is a model.
        ended: what was read at earlier asks of the same study; it is added to.
    """
    if not reads_once():
        return TPESampler(seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True)
    sampler = _TPE(seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True)
    sampler._group_decomposed_search_space = _Groups(ended)
    sampler.ended = ended
    return sampler


class _TPE(TPESampler):
    ended: EndedTrials

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample as Optuna's own sampler does, step for step."""
        states = [TrialState.COMPLETE, TrialState.PRUNED, *([TrialState.RUNNING] if self._constant_liar else [])]
        trials = study._get_trials(deepcopy=False, states=states, use_cache=not self._constant_liar)
        over = [each for each in trials if each.state != TrialState.RUNNING]
        rows = self.ended.rows(over)
        values = self.ended.values(rows)
        good = default_gamma(len(over))
        if len(study.directions) > 1 or np.count_nonzero(~np.isnan(values)) < good:
            # One value does not decide which trials are good: Optuna ranks the pruned trials, or the points of a front.
            return super()._sample(study, trial, search_space)
        best = np.argsort(-values if study.direction == StudyDirection.MAXIMIZE else values, kind="stable")[:good]
        is_below = np.zeros(len(over), dtype=bool)
        is_below[best] = True
        # Where trials run, they count as bad ones.
        running = [
            each
            for each in trials
            if each.state == TrialState.RUNNING
            and each.number != trial.number
            and search_space.keys() <= self._get_params(each, study).keys()
        ]
        assumed = self._get_internal_repr(running, search_space, study)

        columns = {name: self.ended.column(name, each, rows) for name, each in search_space.items()}
        has_all = ~np.isnan(np.array(list(columns.values()))).any(axis=0)
        is_above = ~is_below & has_all
        is_below &= has_all
        numbers = np.array([each.number for each in over], dtype=np.intp)
        in_order = np.argsort(np.concatenate([numbers[is_above], [each.number for each in running]]))
        below, above = (
            self._parzen_estimator_cls(observations, search_space, self._parzen_estimator_parameters)
            for observations in (
                {name: column[is_below] for name, column in columns.items()},
                {name: np.concatenate([column[is_above], assumed[name]])[in_order] for name, column in columns.items()},
            )
        )
        samples = below.sample(self._rng.rng, self._n_ei_candidates)
        chosen = self._compare(samples, self._compute_acquisition_func(samples, below, above))
        return {name: search_space[name].to_external_repr(value) for name, value in chosen.items()}


class _Groups(_GroupDecomposedSearchSpace):
    """Which parameters trials have together: the trials that have the same ones are looked at once."""

    def __init__(self, ended: EndedTrials) -> None:
        super().__init__(include_pruned=True)
        self._ended = ended

    def calculate(self, study: optuna.Study, use_cache: bool = False) -> _SearchSpaceGroup:
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        self._ended.rows(study._get_trials(deepcopy=False, states=states, use_cache=use_cache))
        groups = _SearchSpaceGroup()
        for distributions in self._ended.distributions():
            groups.add_distributions(distributions)
        return groups
