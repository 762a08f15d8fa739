"""One look at a study whose seeds are not fixed: which arms are decided, and which get more seeds.

Works on test errors by seed, of one family: a baseline and its arms. Pure functions: the same errors give the same
answer to the last digit. Knows nothing of trainings, tables or MLflow, nor who keeps the verdicts.

A study of `{first: 3, at_most: 20, until: decided}` trains 3 seeds of every arm, looks, trains more seeds of the arms
that are still open, and looks again. The rounds are fixed before the first training (`study.planning.rounds`).

1. Each look has a level of its own (`study.results.spending`). With it the rule of every table judges the open arms
   (`study.results.rule.judge`). The correction counts every arm that was planned, at every look. The pooled variance
   is that of the open arms: arms that were decided early have smaller spreads than they should, by selection.
2. An arm that is better, worse, or shows no difference that matters is decided. Verdict, interval and p are frozen.
   Later seeds never change them.
3. An open arm is futile if the differences so far give it a chance below `LEAST_CHANCE` to be decided with all seeds.
   It gets no more seeds and stays undecided. This is not binding: no level depends on it, so an arm that is trained
   further all the same has valid verdicts.
4. An arm that lost a seed has no verdict, so it gets no more seeds. A baseline that lost a seed ends all open arms.

An interval that is read off a look belongs to the level of that look. All intervals of a study hold the truth together
as often as those of a study with fixed seeds (docs/statistics.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from study.results.dunnett import Floats, critical_ts
from study.results.rule import (
    FEWEST_SEEDS,
    LEVEL,
    Contrasts,
    Family,
    Finding,
    Judged,
    by_seed,
    contrasts,
    judge,
)
from study.results.spending import levels
from study.results.statistics import Interval
from study.values import Model

LEAST_CHANCE = 0.2
"""An open arm with a smaller chance to be decided by the last look gets no more seeds."""

DECIDED: frozenset[Finding] = frozenset({"better", "worse", "no_difference_that_matters"})
"""Verdicts that end an arm."""


class LookVerdict(Model):
    """What one look found of one arm. It is stored as JSON, and read back to the same digits.

    Attributes:
        look: which look it was, from 1.
        n: seeds that the arm and its baseline have at this look.
        level: of this look, in (0, 1). The interval that is read here has 1 − `level`.
        futile: whether the arm got no more seeds because it could hardly be decided.
        verdict: of the rule.
        difference_points, difference_interval: baseline − arm, in percentage points.
        improvement_percent, improvement_interval: of the baseline's mean error.
        p_value: two-sided paired t-test of this arm alone, for no level of a look.
        p_corrected: corrected for all planned arms and for all looks: below 5 % exactly where the interval of the
            difference does not hold 0.
    """

    look: int
    n: int
    level: float
    futile: bool = False
    verdict: Finding
    difference_points: float | None
    difference_interval: Interval | None
    improvement_percent: float | None
    improvement_interval: Interval | None
    p_value: float | None
    p_corrected: float | None

    def judged(self) -> Judged:
        """The same as the rule has it, for a table."""
        return Judged(
            n=self.n,
            difference_points=self.difference_points,
            difference_interval=self.difference_interval,
            improvement_percent=self.improvement_percent,
            improvement_interval=self.improvement_interval,
            p_value=self.p_value,
            p_corrected=self.p_corrected,
            verdict=self.verdict,
        )


@dataclass(frozen=True)
class Look:
    """What a look found of the arms that were open before it, by arm.

    Attributes:
        decided: their verdict is final.
        futile: undecided, and they get no more seeds.
        open: undecided. They and the baseline get the seeds of the next round. At the last look nothing comes after
            it, and this is what is said of them.
        lost: arms without a verdict because they, or the baseline, have no error for one of the seeds.
    """

    decided: Mapping[str, LookVerdict]
    open: Mapping[str, LookVerdict]
    futile: Mapping[str, LookVerdict]
    lost: tuple[str, ...] = ()


def look_family(k: int, rounds: Sequence[int], planned: int, share: float = 1.0) -> Family:
    """The family of look k: all planned arms, at the level of the look.

    Args:
        k: which look, from 1.
        rounds: seeds at each look, ascending.
        planned: arms of the family, whatever became of them.
        share: of the level that this family has, see `study.results.rule.Family`.

    Raises:
        ValueError: there is no such look.
    """
    if not 1 <= k <= len(rounds):
        raise ValueError(f"look {k} of {len(rounds)}")
    return Family(planned, levels(tuple(rounds), LEVEL)[k - 1], share)


def look(
    k: int,
    rounds: Sequence[int],
    seeds: Sequence[int],
    errors_by_arm: Mapping[str, Mapping[int, float]],
    baseline: Mapping[int, float],
    frozen: Mapping[str, LookVerdict],
    planned: int,
    smallest_effect: float | None = None,
    share: float = 1.0,
) -> Look:
    """Judge the open arms of a family after a whole round.

    Args:
        k: which look, from 1.
        rounds: seeds at each look, ascending, fixed when the study began.
        seeds: all seeds in the order in which they are trained, at least as many as the last round has. This look uses
            the first `rounds[k - 1]`, and never a later one that has been trained already.
        errors_by_arm: test errors by seed, fractions of 1, of every arm. Arms that ended may be there or not.
        baseline: test errors by seed.
        frozen: arms that earlier looks ended, decided or futile.
        planned: arms of the family when the study began.
        smallest_effect: per cent; see `study.results.rule.judge`.
        share: see `look_family`.

    Returns:
        what is found of the arms that are not in `frozen`, in the order of `errors_by_arm`.

    Raises:
        ValueError: there is no such look; fewer seeds than it uses; fewer arms planned than there are.
    """
    family = look_family(k, rounds, planned, share)
    if len(seeds) < rounds[k - 1]:
        raise ValueError(f"{len(seeds)} seeds; look {k} uses {rounds[k - 1]}")
    used = seeds[: rounds[k - 1]]
    still = [arm for arm in errors_by_arm if arm not in frozen]
    lost = tuple(arm for arm in still if not all(seed in errors_by_arm[arm] and seed in baseline for seed in used))
    arms = [arm for arm in still if arm not in lost]
    if not arms:
        return Look({}, {}, {}, lost)
    of_baseline, of_arms = by_seed(used, [baseline])[:, 0], by_seed(used, [errors_by_arm[arm] for arm in arms])
    found = judge(of_baseline, of_arms, family, smallest_effect)
    is_last = k == len(rounds)
    chances = (
        np.ones(len(arms))
        if is_last
        else chance_to_decide(
            contrasts(of_baseline, of_arms),
            rounds[-1],
            look_family(len(rounds), rounds, planned, share),
            smallest_effect,
        )
    )
    decided, open_, futile = {}, {}, {}
    for arm, judged, chance in zip(arms, found, chances, strict=True):
        if judged.verdict in DECIDED:
            decided[arm] = _verdict(k, family.level, judged)
        elif judged.n >= FEWEST_SEEDS and chance < LEAST_CHANCE:
            futile[arm] = _verdict(k, family.level, judged, futile=True)
        else:
            open_[arm] = _verdict(k, family.level, judged)
    return Look(decided, open_, futile, lost)


def chance_to_decide(found: Contrasts, at_most: int, last: Family, smallest_effect: float | None = None) -> Floats:
    """The chance of each arm to be decided by the last look, (..., k); 1 where nothing is known of its spread.

    The differences over all seeds are predicted from those so far: normal, with the mean so far and the variance
    V_j (1/n − 1/N) for n of N seeds. The half width is that of the last look with the spreads so far. That is generous
    to an arm: its true difference may well be as large as the one so far, and no earlier look counts.

    Args:
        found: of the open arms, with n seeds each.
        at_most: N, seeds at the last look.
        last: the family at the last look.
        smallest_effect: per cent; None: only better or worse decide an arm.
    """
    n = np.where(found.n > 0, found.n, np.nan)
    variances = found.charged()
    with np.errstate(divide="ignore", invalid="ignore"):
        df = found.df * (at_most - 1) / (np.nanmax(n, axis=-1, initial=2.0) - 1)
        c = critical_ts(last.level * last.share, np.where(np.isfinite(df), df, 1.0), last.planned, found.correlation)
        t = -special.stdtrit(at_most - 1, last.level / 2)
        half = np.maximum(c[..., None] * np.sqrt(variances / at_most), t * np.sqrt(found.own.differences / at_most))
        spread = np.sqrt(variances * (1 / n - 1 / at_most))
        chance = special.ndtr((found.difference - half) / spread) + special.ndtr((-found.difference - half) / spread)
        if smallest_effect is not None:
            room = smallest_effect / 100 * found.baseline - half
            inside = special.ndtr((room - found.difference) / spread) - special.ndtr(
                (-room - found.difference) / spread
            )
            chance = chance + np.where(room > 0, inside, 0.0)
    return np.where(np.isfinite(chance) & (spread > 0), chance, 1.0)


def _verdict(k: int, level: float, judged: Judged, futile: bool = False) -> LookVerdict:
    p = judged.p_corrected
    return LookVerdict(
        look=k,
        n=judged.n,
        level=level,
        futile=futile,
        verdict=judged.verdict,
        difference_points=judged.difference_points,
        difference_interval=judged.difference_interval,
        improvement_percent=judged.improvement_percent,
        improvement_interval=judged.improvement_interval,
        p_value=judged.p_value,
        p_corrected=None if p is None else min(p * LEVEL / level, 1.0),
    )
