"""What to say about a search that can find little, or found nothing.

Works on a study file and on counts. Knows nothing of journals or of who prints its lines.
"""

from collections.abc import Sequence

from study.config import LEARNING_SAMPLERS, StudyConfig


def search_advice(config: StudyConfig) -> list[str]:
    """What is allowed in a study file and hardly meant, one line each."""
    search = config.search
    if search is None or search.sampler not in LEARNING_SAMPLERS or search.startup_trials < search.trials:
        return []
    return [
        f"search: all {search.trials} trials will be random, because the sampler {search.sampler} learns only after "
        f"startup_trials, which is {search.startup_trials}; set a lower startup_trials or more trials"
    ]


def nothing_completed(study: str, stage: str, trials: int, diverged: Sequence[str]) -> str:
    """One line about a search in which no trial completed and none failed.

    Args:
        study: its name.
        stage: the search's name.
        trials: how many there were.
        diverged: why trials diverged, one line each.
    """
    how = f"all {trials} trials diverged"
    if len(diverged) < trials:
        how = f"no trial completed ({len(diverged)} of {trials} diverged, the others were stopped early)"
    first = f"; the first: {diverged[0]}" if diverged else ""
    return (
        f"stage {stage} of study {study}: {how}{first}; a resume would change nothing: start another study with other "
        "ranges in `search`, for instance lower learning rates"
    )
