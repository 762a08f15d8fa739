"""What a study will cost, from the seconds per epoch that earlier studies of the same images measured here.

Works on the results of trials in the folder of all studies. Knows nothing of the journal or of a tracking server.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from statistics import median

from study.config import StudyConfig, TrialConfig
from study.digests import Damaged
from study.errors import UserError
from study.lookup import local_studies, started_study
from study.planning.growth import Rounds, grid_rounds, search_round, trials_of_round
from study.planning.plan import grid_trials
from study.running.result import RESULT, read_result
from study.storage import StudyFolder

MOST_RESULTS = 40
"""How many trials of one study are read."""

Workload = tuple[str, int]
"""Network and batch size: what the seconds of an epoch depend on."""


def seconds_per_epoch(config: StudyConfig, root: Path) -> dict[Workload, float]:
    """The median seconds of an epoch of students, by workload, in the studies of a folder that have the same images.

    Args:
        config: the study whose images count.
        root: the folder of all studies.
    """
    measured: defaultdict[Workload, list[float]] = defaultdict(list)
    for name in local_studies(root):
        folder = StudyFolder(root, name)
        try:
            if started_study(folder).data != config.data:
                continue
        except UserError:  # made by another version, or damaged: it measures nothing
            continue
        for file in islice(folder.path.glob(f"trials/*/{RESULT}"), MOST_RESULTS):
            try:
                stored = read_result(file)
            except (OSError, Damaged):
                continue
            workload = stored.trial.network, stored.trial.train.batch_size
            measured[workload] += [record.seconds for record in stored.report.epochs]
    return {workload: median(seconds) for workload, seconds in measured.items() if seconds}


def hours_of(trials: Iterable[TrialConfig], seconds: Mapping[Workload, float]) -> float | None:
    """The hours of training of these trials, one after another; None if a network among them was not measured.

    Args:
        trials: with all their epochs; early stopping may make it less.
        seconds: of an epoch, by workload.
    """
    total = 0.0
    for trial in trials:
        per_epoch = seconds.get((trial.network, trial.train.batch_size))
        if per_epoch is None:
            return None
        total += per_epoch * trial.train.epochs
    return total / 3600


def cost_lines(config: StudyConfig, root: Path) -> list[str]:
    """What a study costs, one line for each thing that is known; none for a study of which nothing is to be said.

    Args:
        config: the study.
        root: the folder of all studies.
    """
    grid, rounds = grid_trials(config), grid_rounds(config)
    seconds = seconds_per_epoch(config, root)
    lines = []
    if rounds is not None:
        lines.append(
            f"seeds: rounds that end with {', '.join(map(str, rounds.ends))} seeds; each look at the results is at the "
            "end of a round"
        )
    if grid:
        lines += _cost(grid, rounds, seconds, always=rounds is not None or config.budget is not None)
    if config.search is not None and config.budget is not None:
        lines.append(f"cost: the search and the first round of its confirmation have {search_round(config)} trainings")
    return lines


def _cost(grid: list[TrialConfig], rounds: Rounds | None, seconds: Mapping[Workload, float], always: bool) -> list[str]:
    hours = hours_of(grid, seconds)
    if hours is None and not always:
        return []
    if rounds is None:
        return [f"cost: the grid has {len(grid)} trainings{_hours(hours)}"]
    first = trials_of_round(1, grid, rounds, {})
    return [
        f"cost: the first round has {len(first)} trainings{_hours(hours_of(first, seconds))}, all rounds have at most "
        f"{len(grid)}{_hours(hours)}"
    ]


def _hours(hours: float | None) -> str:
    return "" if hours is None else f" (at most {hours:.2g} hours of training, as earlier studies here measured)"
