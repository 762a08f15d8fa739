"""Which trainings each round of a study has whose seeds are not fixed.

Pure functions on study files and plans. Knows nothing of verdicts: it is told at which look an arm ended. A plan grows
by whole rounds, so the plan of a round contains every training of the rounds before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.config import SeedsUntilDecided, StudyConfig, TrialConfig
from study.planning.keys import ANY_SEED, NO_DIGESTS, training_key
from study.planning.plan import grid_trials
from study.planning.rounds import rounds_of


@dataclass(frozen=True)
class Rounds:
    """The rounds of a stage.

    Attributes:
        seeds: all seeds, in the order in which they are trained.
        ends: how many of them are trained at the end of each round, ascending.
    """

    seeds: tuple[int, ...]
    ends: tuple[int, ...]


def grid_rounds(config: StudyConfig) -> Rounds | None:
    """The rounds of the grid; None if its seeds are fixed."""
    if not isinstance(config.seeds, SeedsUntilDecided):
        return None
    return Rounds(config.seed_list, rounds_of(config.seeds.first, config.seeds.at_most))


def confirmation_rounds(config: StudyConfig) -> Rounds | None:
    """The rounds of the confirmation; None if its seeds are fixed, or there is none."""
    if config.search is None:
        return None
    seeds = config.search.confirm.seeds or config.seeds
    if not isinstance(seeds, SeedsUntilDecided):
        return None
    return Rounds(config.confirmation_seeds, rounds_of(seeds.first, seeds.at_most))


def arm_key(trial: TrialConfig, digests: Mapping[str, str] = NO_DIGESTS) -> str:
    """What identifies an arm: the key of its training without the seed."""
    return training_key(trial.model_copy(update=ANY_SEED), digests)


def arms_by_student(
    trials: Sequence[TrialConfig], digests: Mapping[str, str] = NO_DIGESTS
) -> dict[str, dict[str, list[TrialConfig]]]:
    """The arms of a plan: by student, by their key, each with its trainings in the plan's order.

    Students without an arm are there too.
    """
    found: dict[str, dict[str, list[TrialConfig]]] = {}
    for trial in trials:
        arms = found.setdefault(trial.network, {})
        if trial.role == "arm":
            arms.setdefault(arm_key(trial, digests), []).append(trial)
    return found


def first_round(config: StudyConfig) -> int:
    """How many trainings of students a study has at least: those up to the end of its first whole round.

    The grid comes first. A search and the first round of its confirmation are one round.
    """
    if grid := grid_trials(config):
        rounds = grid_rounds(config)
        return len(grid if rounds is None else trials_of_round(1, grid, rounds, {}))
    return search_round(config)


def search_round(config: StudyConfig) -> int:
    """How many trainings of students a search and the first round of its confirmation have, at most."""
    search = config.search
    if search is None:
        return 0
    rounds = confirmation_rounds(config)
    seeds = len(config.confirmation_seeds) if rounds is None else rounds.ends[0]
    searches = 2 if config.baseline.search is not None else 1
    in_grid = len(config.seed_list) if config.arms else 0
    return searches * search.trials + search.confirm.top * seeds + max(seeds - in_grid, 0)


def trials_of_round(
    number: int,
    trials: Sequence[TrialConfig],
    rounds: Rounds,
    ended: Mapping[str, int],
    digests: Mapping[str, str] = NO_DIGESTS,
) -> list[TrialConfig]:
    """The trainings up to the end of a round.

    An arm that ended at a look has the seeds of that look. A baseline has the seeds of the arm of its student that has
    most. Without arms it has those of the first round.

    Args:
        number: of the round, from 1.
        trials: every training that the stage may have.
        rounds: of the stage.
        ended: the look at which an arm ended, from 1, by its key; arms that are open are not there.
        digests: as in `training_key`.
    """
    last_of = {
        student: max((min(number, ended.get(key, number)) for key in arms), default=1)
        for student, arms in arms_by_student(trials, digests).items()
    }
    place = {seed: index for index, seed in enumerate(rounds.seeds)}

    def is_trained(trial: TrialConfig) -> bool:
        last = last_of[trial.network]
        if trial.role == "arm":
            last = min(number, ended.get(arm_key(trial, digests), number))
        return place[trial.seed] < rounds.ends[last - 1]

    return [trial for trial in trials if is_trained(trial)]
