"""The families of a table: which arms are judged together, and what the rule finds of each.

Works on arms, their seeds and their baselines. Knows nothing of rows, and nothing of how the rule judges.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from study.results.arms import Arm, ArmSeeds
from study.results.detection import detectable, spread_limits
from study.results.rule import LEVEL, Family, Judged, by_seed, contrasts, judge
from study.results.statistics import Interval


@dataclass(frozen=True)
class Finding:
    """What is known of an arm whose seeds, and whose baseline's seeds, are not lost.

    Attributes:
        judged: what the rule finds.
        spread: lower and upper 80 % limit of the family's pooled standard deviation over seeds of (baseline − arm) /
            mean baseline, as fractions of 1. None where no arm of the family has a spread.
        detectable_percent: the smallest improvement that the arm's seeds find with a chance of 80 %, at the lower
            limit of the spread, and at the upper limit or the arm's own spread if that is larger. None without a
            spread, and with fewer seeds than a verdict needs.
    """

    judged: Judged
    spread: Interval | None
    detectable_percent: Interval | None


def families_of(
    arms: Mapping[Arm, ArmSeeds], level: float = LEVEL, planned_in_all: int | None = None
) -> dict[tuple[str, str], Family]:
    """The families of a table by student and stage: every arm that was planned counts, whatever became of it.

    The arms of the grid and the confirmed points of a search have other seeds, so they are different families.

    Args:
        arms: all arms of one study, baselines among them.
        level: of the table.
        planned_in_all: arms of all studies, where the table has several; None: those of `arms`.
    """
    planned: dict[tuple[str, str], int] = {}
    for arm in arms:
        if arm.role != "baseline":
            planned[_key(arm)] = planned.get(_key(arm), 0) + 1
    total = planned_in_all or sum(planned.values())
    return {key: Family(number, level, number / total) for key, number in planned.items()}


def family_of(arm: Arm, arms: Mapping[Arm, ArmSeeds], level: float) -> Family:
    """The family of one arm, at a level of its own."""
    return families_of(arms, level)[_key(arm)]


def findings_of(
    arms: Mapping[Arm, ArmSeeds],
    baselines: Mapping[str, ArmSeeds],
    smallest_effect: float | None = None,
    level: float = LEVEL,
    planned_in_all: int | None = None,
) -> dict[Arm, Finding]:
    """What is found of every arm that can be compared; arms that lost a seed, or whose baseline did, are not there.

    Args:
        arms: all arms of a table, baselines among them.
        baselines: the baseline of a student.
        smallest_effect: per cent; see `study.results.rule.judge`.
        level: of the table.
        planned_in_all: see `families_of`.
    """
    found: dict[Arm, Finding] = {}
    for key, family in families_of(arms, level, planned_in_all).items():
        baseline = baselines.get(key[0])
        members = [arm for arm in arms if arm.role != "baseline" and _key(arm) == key and not arms[arm].lost]
        if baseline is not None and not baseline.lost and members:
            found |= _of_family(baseline, {arm: arms[arm] for arm in members}, family, smallest_effect)
    return found


def _key(arm: Arm) -> tuple[str, str]:
    return arm.student, arm.stage


def _of_family(
    baseline: ArmSeeds, members: Mapping[Arm, ArmSeeds], family: Family, smallest_effect: float | None
) -> dict[Arm, Finding]:
    seeds = sorted({seed for each in [baseline, *members.values()] for seed in each.errors})
    of_baseline = by_seed(seeds, [baseline.errors])[:, 0]
    of_arms = by_seed(seeds, [each.errors for each in members.values()])
    judged = judge(of_baseline, of_arms, family, smallest_effect)
    pooled = contrasts(of_baseline, of_arms)
    found = {}
    for place, (arm, each) in enumerate(zip(members, judged, strict=True)):
        spread: Interval | None = None
        level, variance, df = float(pooled.baseline[place]), float(pooled.pooled.differences), float(pooled.df)
        if each.n > 0 and level > 0 and variance > 0:
            low, high = spread_limits(variance, df)
            own = float(pooled.own.differences[place])
            spread = low / level, high / level
            widest = max(high, math.sqrt(own) if math.isfinite(own) else 0.0) / level
        found[arm] = Finding(each, spread, None if spread is None else _detectable(each.n, family, spread[0], widest))
    return found


def detectable_percent(n: int, family: Family, spread: Interval | None) -> Interval | None:
    """The smallest improvement that n seeds find with a chance of 80 %, at both limits of a spread; None without one.

    Args:
        n: seeds of the arm and its baseline.
        family: of the arm.
        spread: as in `Finding`.
    """
    return None if spread is None else _detectable(n, family, *spread)


def _detectable(n: int, family: Family, low: float, high: float) -> Interval | None:
    least = detectable(n, family) * 100
    return (least * low, least * high) if math.isfinite(least) else None
