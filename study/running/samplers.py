"""The samplers and pruners that a study file can name, made from Optuna's.

Works on the `search` section of a study file. Knows nothing of stages, trials or journals. A new sampler is one entry
in `SAMPLERS` and one word in `study.config.Sampler`; a new scheduler is one entry in `PRUNERS` and one word in
`study.config.Scheduler`.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler

from study.adapters.optuna_gp import gp
from study.adapters.optuna_tpe import EndedTrials, tpe
from study.config import MAX_SEED, Sampler, Scheduler, SearchConfig
from study.running.diverged import MedianOfResults, has_diverged


@dataclass(frozen=True)
class Ask:
    """What a sampler is made from, for one ask.

    Attributes:
        search: the section of the study file.
        seed: of the search.
        fresh_seed: of this ask alone.
        ended: what is known of the trials that ended; the same object at every ask.
    """

    search: SearchConfig
    seed: int
    fresh_seed: int
    ended: EndedTrials

    @property
    def startup(self) -> int:
        """How many trials are random before the sampler has a model."""
        return self.search.startup_trials


def _random(ask: Ask) -> BaseSampler:
    return RandomSampler(seed=ask.fresh_seed)


def _qmc(ask: Ask) -> BaseSampler:
    # The place in its sequence is a count in the journal, and it is one sequence only with one seed.
    return QMCSampler(
        seed=ask.seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=ask.fresh_seed),
        warn_asynchronous_seeding=False,
        warn_independent_sampling=False,
    )


def _tpe(ask: Ask) -> BaseSampler:
    # In groups: parameters that depend on a choice, and those of two objectives, are modelled together too.
    return tpe(ask.fresh_seed, ask.startup, ask.ended)


def _gp(ask: Ask) -> BaseSampler:
    error = ask.search.objectives.index("val_error")
    settings = {"seed": ask.fresh_seed, "n_startup_trials": ask.startup, "warn_independent_sampling": False}
    return gp(error, has_diverged, **settings)


def _cmaes(ask: Ask) -> BaseSampler:
    return CmaEsSampler(seed=ask.fresh_seed, n_startup_trials=ask.startup, warn_independent_sampling=False)


SAMPLERS: Mapping[Sampler, Callable[[Ask], BaseSampler]] = {
    "random": _random,
    "qmc": _qmc,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
}
"""By the name in a study file. `grid` is not here, because `study.running.sources` goes through its points."""


def _asha(search: SearchConfig) -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=search.grace_epochs, reduction_factor=search.reduction_factor)


def _median(search: SearchConfig) -> BasePruner:
    return MedianOfResults(n_startup_trials=search.startup_trials, n_warmup_steps=search.grace_epochs)


PRUNERS: Mapping[Scheduler, Callable[[SearchConfig], BasePruner]] = {
    "fifo": lambda _: NopPruner(),
    "asha": _asha,
    "median": _median,
}


def make_sampler(search: SearchConfig, seed: int, asked: int, ended: EndedTrials) -> BaseSampler:
    """A sampler for one ask. It is made again for each, because a sampler that is seeded once repeats its draws after
    a resume.

    Args:
        search: which sampler.
        seed: of the search.
        asked: how many trials were asked for before.
        ended: what is known of the trials that ended; the same object at every ask.
    """
    ask = Ask(search, seed, (seed * 1_000_003 + asked) % MAX_SEED, ended)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # their interfaces may change, and are used here only
        return SAMPLERS[search.sampler](ask)


def make_pruner(search: SearchConfig) -> BasePruner:
    """What stops trials early. It decides by the journal alone, so it decides the same after a resume."""
    return PRUNERS[search.scheduler](search)
