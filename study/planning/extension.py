"""A study that grows: which changes of a study file an extension may make, and what becomes of its seeds.

Pure functions on study files. Knows nothing of journals: the plan of the extended study contains every training of the
study before, so the journal lacks exactly the new ones.
"""

from collections.abc import Iterator
from typing import Any

from study.config import BudgetConfig, FixedSeeds, SeedsUntilDecided, StudyConfig, first_difference
from study.errors import UserError
from study.planning import plan
from study.planning.growth import confirmation_rounds, grid_rounds
from study.storage import Change

GROWS = "an extension changes seeds, arms, search.trials, search.confirm and budget"


def extended(old: StudyConfig, new: StudyConfig) -> StudyConfig:
    """The study after an extension: the new file, with the seeds of search and confirmation that the old study has.

    Args:
        old: the study as it is, with its fixed seeds.
        new: its study file after the change.

    Raises:
        UserError: the new file lacks something that the old one has, or differs in what an extension cannot change;
            one line that names the key.
    """
    before, after = _without_what_grows(old), _without_what_grows(new)
    if (key := first_difference(before, after)) is not None:
        raise _refused(old, key, f"differs from the study file that the study was started with; {GROWS}")
    _check_budget(old, new)
    if grid_rounds(old) is not None or confirmation_rounds(old) is not None:
        for change in changes(old, new):
            if change.key != "budget":
                raise _refused(
                    old,
                    change.key,
                    "the seeds are not fixed (`until: decided`), and every look is corrected for the arms and seeds "
                    "that were planned before the first look",
                )
    if isinstance(new.seeds, SeedsUntilDecided) != isinstance(old.seeds, SeedsUntilDecided):
        raise _refused(
            old,
            "seeds",
            "a list of seeds cannot become rounds; rounds are fixed before the first training",
        )
    if missing := [seed for seed in old.seed_list if seed not in new.seed_list]:
        raise _refused(old, "seeds", f"{missing[0]} is missing; the new list must contain the old one")
    if (key := _missing_arm(old, new)) is not None:
        raise _refused(old, key, "a point of it is missing; the new `arms` must contain every point of the old ones")
    if old.search is None or new.search is None:
        return new
    if new.search.seed not in (None, old.search_seed):
        raise _refused(old, "search.seed", f"the seed of the search stays {old.search_seed}")
    for key, less, more in (
        ("search.trials", new.search.trials, old.search.trials),
        ("search.confirm.top", new.search.confirm.top, old.search.confirm.top),
        ("search.confirm.seeds", _seeds_to_confirm(new), len(old.confirmation_seeds)),
    ):
        if less < more:
            raise _refused(old, key, f"{less} is less than the {more} that the study has")
    if new.search.trials > old.search.trials and old.baseline.search is not None:
        raise _refused(
            old,
            "search.trials",
            "the baseline was searched with as many trials and its settings are chosen, so more trials for the arms "
            "alone would be unfair to it",
        )
    confirmation = new.seeds_to_confirm(old.confirmation_seeds, old.search_seed)
    return new.with_seeds(FixedSeeds(search=old.search_seed, confirmation=confirmation))


def changes(old: StudyConfig, new: StudyConfig) -> tuple[Change, ...]:
    """What an extension changed, one entry for each key that may grow; none where the study is the same.

    Args:
        old: the study before.
        new: the study after; `extended` accepted it.
    """
    values = zip(_what_grows(old), _what_grows(new), strict=True)
    return tuple(Change(key=key, before=left, after=right) for (key, left), (_, right) in values if left != right)


def _what_grows(config: StudyConfig) -> Iterator[tuple[str, str]]:
    """Everything that an extension may change, with its value in words."""
    yield "seeds", ", ".join(map(str, config.seed_list))
    points = {repr(trial) for trial in plan.grid_trials(plan.over_one_seed(config)) if trial.role == "arm"}
    yield "arms", f"{len(points)} point{'s' if len(points) != 1 else ''}"
    search = config.search
    yield "search.trials", "" if search is None else str(search.trials)
    yield "search.confirm.top", "" if search is None else str(search.confirm.top)
    yield "search.confirm.seeds", ", ".join(map(str, config.confirmation_seeds))
    budget = {} if config.budget is None else config.budget.model_dump(exclude_none=True)
    yield "budget", ", ".join(f"{key} {value:g}" for key, value in budget.items())


def _without_what_grows(config: StudyConfig) -> dict[str, Any]:
    document = config.model_dump(mode="json", exclude={"seeds", "arms", "budget"})
    if config.search is not None:
        for key in ("trials", "seed", "confirm"):
            del document["search"][key]
    return document


def _check_budget(old: StudyConfig, new: StudyConfig) -> None:
    """Whether the new budget is at least the old one; a study without a budget had none to keep to."""
    for key in BudgetConfig.model_fields:
        before = None if old.budget is None else getattr(old.budget, key)
        after = None if new.budget is None else getattr(new.budget, key)
        if before is not None and after is not None and after < before:
            raise _refused(old, f"budget.{key}", f"{after:g} is less than the {before:g} that the study has")


def _missing_arm(old: StudyConfig, new: StudyConfig) -> str | None:
    """The key of the first arm of which the new study lacks a point; None where it has them all."""
    old, new = plan.over_one_seed(old), plan.over_one_seed(new)
    new = new.model_copy(update={"seeds": old.seed_list})
    there = {repr(trial) for trial in plan.grid_trials(new)}
    if all(repr(trial) in there for trial in plan.grid_trials(old)):
        return None
    for place, arm in enumerate(old.arms):
        if any(repr(trial) not in there for trial in plan.expand(old, arm, "grid", "arm", old.seed_list)):
            return f"arms.{place}"
    return "arms"


def _seeds_to_confirm(config: StudyConfig) -> int:
    assert config.search is not None
    seeds = config.search.confirm.seeds or len(config.seed_list)
    return seeds.at_most if isinstance(seeds, SeedsUntilDecided) else seeds


def _refused(study: StudyConfig, key: str, why: str) -> UserError:
    return UserError(f"study {study.name} cannot be extended: `{key}`: {why}")
