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
    """What a sampler is made from. Each proposal makes a new one.

    Attributes:
        search: the `search` section of the study file.
        seed: the seed of the whole search.
        fresh_seed: a seed for this proposal only.
        ended: what is known of the trials that ended; the same object for every proposal.
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
    # The journal counts the place in the sequence. With another seed it would be another sequence.
    return QMCSampler(
        seed=ask.seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=ask.fresh_seed),
        warn_asynchronous_seeding=False,
        warn_independent_sampling=False,
    )


def _tpe(ask: Ask) -> BaseSampler:
    # Grouped: TPE also models parameters together that depend on a choice, and with two objectives.
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
"""The samplers by their names in a study file. `grid` is not here: `study.running.sources` enters its points itself."""


def _asha(search: SearchConfig) -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=search.grace_epochs, reduction_factor=search.reduction_factor)


def _median(search: SearchConfig) -> BasePruner:
    return MedianOfResults(n_startup_trials=search.startup_trials, n_warmup_steps=search.grace_epochs)


PRUNERS: Mapping[Scheduler, Callable[[SearchConfig], BasePruner]] = {
    "fifo": lambda _: NopPruner(),
    "asha": _asha,
    "median": _median,
}


def make_sampler(
    search: SearchConfig, seed: int, asked: int, ended: EndedTrials, *, at_random: bool = False
) -> BaseSampler:
    """A sampler for one proposal. Each proposal needs a new one, because a sampler that is seeded once would repeat its
    draws after a resume.

    Args:
        search: the `search` section of the study file.
        seed: the seed of the whole search.
        asked: how many trials were proposed before.
        ended: what is known of the trials that ended; the same object for every proposal.
        at_random: whether this proposal is drawn at random, whatever sampler the search has.
    """
    ask = Ask(search, seed, (seed * 1_000_003 + asked) % MAX_SEED, ended)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # their interfaces may change; only this file uses them
        return SAMPLERS["random" if at_random else search.sampler](ask)


def make_pruner(search: SearchConfig) -> BasePruner:
    """The pruner that stops trials early. It reads only the journal, so it decides the same after a resume."""
    return PRUNERS[search.scheduler](search)
