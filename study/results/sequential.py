"""What a table says of arms whose seeds are not fixed.

Works on the looks of a study and its arms. Knows nothing of rows, and nothing of how a look judges.
"""

from collections.abc import Mapping
from dataclasses import replace

from study.results.arm_looks import ArmLook, Looks, State
from study.results.arms import Arm, ArmSeeds
from study.results.families import Finding, detectable_percent, family_of
from study.results.rule import RULE, Judged
from study.results.wording import count, some

RULE_OF_LOOKS = f"{RULE}-looks"
"""The name of the rule where a stage has seeds until decided."""

NOT_YET = Judged(0, None, None, None, None, None, None, "undecided")
"""Of an arm before its first look."""

_WORDS: Mapping[State, str] = {
    "decided": "Decided with {}",
    "futile": "Stopped after {}, because the chance of a verdict was below 20 %",
    "at_most": "Undecided with all {}",
    "open": "Open after {}",
    "lost": "Stopped after {}, because a seed was lost",
}


def look_of(looks: Looks, seeds: ArmSeeds) -> ArmLook | None:
    """What the last look found of an arm; None before the first one, and for fixed seeds."""
    return looks.of_arm(trial.trial_id for trial in seeds.trials.values())


def is_in_rounds(arm: Arm, looks: Looks) -> bool:
    """Whether the seeds of an arm are not fixed."""
    return arm.role != "baseline" and arm.stage in looks.rounds


def is_frozen(looks: Looks, seeds: ArmSeeds) -> bool:
    """Whether an arm has a verdict that later seeds, of its baseline too, never change."""
    look = look_of(looks, seeds)
    return look is not None and look.state != "open" and look.verdict is not None


def with_looks(findings: Mapping[Arm, Finding], arms: Mapping[Arm, ArmSeeds], looks: Looks) -> dict[Arm, Finding]:
    """The findings of a table, with those of the looks for arms in rounds."""
    found = dict(findings)
    for arm in (arm for arm in arms if is_in_rounds(arm, looks)):
        look = look_of(looks, arms[arm])
        if look is not None and look.verdict is not None:
            before = found.get(arm)
            spread, family = before.spread if before else None, family_of(arm, arms, look.verdict.level)
            detectable = detectable_percent(look.verdict.n, family, spread)
            found[arm] = Finding(look.verdict.judged(), spread, detectable)
        elif look is None and arm in found:
            found[arm] = replace(found[arm], judged=NOT_YET, detectable_percent=None)
    return found


def look_notes(arms: Mapping[Arm, ArmSeeds], looks: Looks, is_compared: bool = False) -> list[str]:
    """When the study looked, and what became of its arms.

    Args:
        arms: of the study.
        looks: of the study.
        is_compared: whether the table has other studies beside this one.
    """
    notes = []
    for stage, ends in looks.rounds.items():
        where = "" if len(looks.rounds) == 1 else f" ({stage})"
        notes.append(
            f"Seeds until decided{where}: rounds that end with {some([str(end) for end in ends], len(ends))} seeds, "
            "fixed before the first training. A verdict is read at the end of a round, and later seeds never change "
            "it. All looks together keep the limit of 5 % (docs/statistics.md)."
        )
        for state, words in _WORDS.items():
            named: dict[int, list[str]] = {}
            for arm, seeds in arms.items():
                look = look_of(looks, seeds) if arm.role != "baseline" and arm.stage == stage else None
                if look is not None and look.state == state:
                    named.setdefault(ends[look.look - 1], []).append(str(arm))
            notes += [
                f"{words.format(count(number, 'seed'))}{where}: {some(listed, len(listed))}."
                for number, listed in sorted(named.items())
            ]
    if notes and is_compared:
        notes.append(
            "Verdicts of such arms are those of their own study. They are not corrected for the arms of other studies."
        )
    return notes
