"""How many seeds a study needs to detect an improvement, and what the seeds that it has can detect.

Works on families and on the spread of their differences: measured by the study's own rows, or by an earlier study of
the same data set. The power is that of the table's rule (`study.results.detection`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.results import frames
from study.results.detection import detectable, power, seeds_needed
from study.results.families import families_of, findings_of
from study.results.read import TrackedStudy
from study.results.rule import Family
from study.results.selection import baselines_of, ordered_arms
from study.results.wording import count, plain, two_digits
from study.tracking import schema

DEFAULT_EFFECT = 10.0
"""Per cent. `validate` warns if a study file cannot detect it."""


@dataclass(frozen=True)
class Spread:
    """How much a difference between an arm and its baseline varies over seeds.

    Attributes:
        of_difference: its standard deviation / the baseline's mean error; a fraction of 1.
        source: where it is from, in words.
    """

    of_difference: float
    source: str


KNOWN: Mapping[str, Spread] = {
    "mnist": Spread(0.083, "the student fc800 in docs/results/mnist-table-1.json"),
    "cifar10": Spread(0.019, "the student student3 on JPEG pictures in docs/results/cifar10-jpeg-student3.json"),
}
"""Spreads that were measured, by data set. A test computes them again from the files that they name."""


@dataclass(frozen=True)
class Plan:
    """A family and its seeds, for one effect.

    Attributes:
        subject: student and stage, in words.
        family: of the rule.
        seeds: of every arm.
        spread: what the answers assume.
        effect_percent: the improvement to detect.
        hours_per_training: None where no training has been measured.
    """

    subject: str
    family: Family
    seeds: int
    spread: Spread
    effect_percent: float
    hours_per_training: float | None = None

    @property
    def chance(self) -> float:
        """The chance that the seeds as they are detect the effect."""
        return power(self.effect_percent / 100 / self.spread.of_difference, self.seeds, self.family)

    @property
    def detectable_percent(self) -> float:
        """The smallest improvement that the seeds detect with a chance of 80 %; infinite with fewer than three."""
        return detectable(self.seeds, self.family) * self.spread.of_difference * 100

    @property
    def seeds_needed(self) -> int | None:
        """The fewest seeds that detect the effect with a chance of 80 %."""
        return seeds_needed(self.effect_percent / 100 / self.spread.of_difference, self.family)

    def trainings(self, seeds: int) -> int:
        """Of the arms and their baseline."""
        return seeds * (self.family.planned + 1)

    def hours(self, seeds: int) -> float | None:
        """Of all trainings, one after another."""
        return None if self.hours_per_training is None else self.trainings(seeds) * self.hours_per_training


def plans_of(tracked: TrackedStudy, effect_percent: float) -> list[Plan]:
    """One plan for each family of a tracked study that has a spread: at the upper 80 % limit of its own rows.

    Raises:
        UserError: a trial's parameters cannot be read.
    """
    arms, _ = ordered_arms(tracked)
    baselines, _ = baselines_of(arms)
    findings = findings_of(arms, baselines)
    seconds = frames.number(tracked.trials, f"metrics.{schema.TRAIN_SECONDS}").dropna()
    hours = float(seconds.mean()) / 3600 if len(seconds) else None
    plans = []
    for (student, stage), family in families_of(arms).items():
        spreads = [
            found.spread
            for arm, found in findings.items()
            if (arm.student, arm.stage) == (student, stage) and found.spread is not None
        ]
        if spreads:
            seeds = max(len(arms[arm].planned) for arm in arms if (arm.student, arm.stage) == (student, stage))
            spread = Spread(max(high for _, high in spreads), f"the rows of {plain(tracked.name)}, upper 80 % limit")
            plans.append(Plan(f"{plain(student)}, {stage}", family, seeds, spread, effect_percent, hours))
    return plans


def planned_plans(arms_of_student: Mapping[str, int], seeds: int, spread: Spread, effect_percent: float) -> list[Plan]:
    """One plan for each student of a study file.

    Args:
        arms_of_student: how many points a student's arms have.
        seeds: of every arm.
        spread: an earlier study's.
        effect_percent: the improvement to detect.
    """
    total = sum(arms_of_student.values())
    return [
        Plan(f"{plain(student)}, grid", Family(number, share=number / total), seeds, spread, effect_percent)
        for student, number in arms_of_student.items()
    ]


def as_text(plans: Sequence[Plan]) -> str:
    """The plans for people."""
    lines = []
    for plan in plans:
        lines += [
            f"{plan.subject}: {count(plan.family.planned, 'arm')} and the baseline, an improvement of "
            f"{plan.effect_percent:g} %",
            f"  spread of a difference: {two_digits(plan.spread.of_difference * 100)} % of the baseline's error "
            f"({plan.spread.source})",
            f"  {count(plan.seeds, 'seed')}: {_cost(plan, plan.seeds)}; chance to detect it {plan.chance:.0%}; "
            f"smallest improvement detected with a chance of 80 %: {_percent(plan.detectable_percent)}",
        ]
        needed = plan.seeds_needed
        lines.append(
            f"  needed for a chance of 80 %: {count(needed, 'seed')}, {_cost(plan, needed)}"
            if needed is not None
            else "  more than 200 seeds are needed for a chance of 80 %"
        )
    return "".join(f"{line}\n" for line in lines)


def as_json(plans: Sequence[Plan]) -> list[dict[str, object]]:
    """The plans for programs; null where something is not known or not possible."""
    return [
        {
            "subject": plan.subject,
            "effect_percent": plan.effect_percent,
            "arms": plan.family.planned,
            "spread_percent": plan.spread.of_difference * 100,
            "spread_source": plan.spread.source,
            "seeds": plan.seeds,
            "trainings": plan.trainings(plan.seeds),
            "hours": plan.hours(plan.seeds),
            "power": plan.chance,
            "detectable_percent": plan.detectable_percent if plan.seeds >= 3 else None,
            "seeds_needed": (needed := plan.seeds_needed),
            "trainings_needed": None if needed is None else plan.trainings(needed),
            "hours_needed": None if needed is None else plan.hours(needed),
        }
        for plan in plans
    ]


def warning(plans: Sequence[Plan]) -> str | None:
    """One line if a study file cannot detect an improvement of `DEFAULT_EFFECT` per cent; None if it can."""
    weak = [plan for plan in plans if plan.detectable_percent > plan.effect_percent]
    if not weak:
        return None
    worst = max(weak, key=lambda plan: plan.detectable_percent)
    needed = worst.seeds_needed
    return (
        f"seeds: {count(worst.seeds, 'seed')} and {count(worst.family.planned, 'arm')} detect an improvement of "
        f"{worst.effect_percent:g} % with a chance of {worst.chance:.0%}, if differences "
        f"vary as in {worst.spread.source}" + (f"; {needed} seeds are needed for 80 %" if needed is not None else "")
    )


def _cost(plan: Plan, seeds: int) -> str:
    hours = plan.hours(seeds)
    time = "hours not known before a training ran" if hours is None else f"{two_digits(hours)} hours of training"
    return f"{count(plan.trainings(seeds), 'training')}, {time}"


def _percent(value: float) -> str:
    return f"{two_digits(value)} %" if value < 100 else "none"
