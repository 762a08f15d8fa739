"""What a table says of the extensions of its study.

Works on a tracked study and its arms, and returns sentences. Knows nothing of rows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from study.errors import UserError
from study.results import frames
from study.results.arms import Arm, ArmSeeds
from study.results.read import TrackedStudy
from study.results.wording import plain, some
from study.stages import CONFIRM, STAGES_OF_A_TABLE
from study.storage import Extension
from study.tracking import schema

OF_THE_SEARCH = ("search.trials", "search.confirm.top")
"""Keys whose extension may add points to the confirmed ones."""


def extensions_of(tracked: TrackedStudy) -> list[Extension]:
    """The extensions of a study, oldest first.

    Raises:
        UserError: a tag cannot be read.
    """
    read = [_read(tracked.name, name, text) for name, text in tracked.tags.items() if name.startswith(schema.EXTENSION)]
    return sorted(read, key=lambda extension: extension.timestamp_ms)


def extension_notes(tracked: TrackedStudy, arms: Mapping[Arm, ArmSeeds]) -> list[str]:
    """When the study was extended, whether its table had results then, and which points were confirmed before."""
    extensions = extensions_of(tracked)
    notes = [f"Extended on {_moment(each)}: {_changes(each)}." for each in extensions]
    # A budget changes nothing that was planned. It is all that an extension can change where seeds are not fixed.
    grown = [each for each in extensions if any(change.key != "budget" for change in each.changes)]
    if any(_had_results(tracked, each) for each in grown):
        notes.append(
            "The table had results before it was extended. Its verdicts are exact only if the number of seeds and arms "
            "does not depend on results. If studies are extended until a verdict appears, more than 5 % of their "
            "tables report a false difference. Seeds until decided keep the limit of 5 %."
        )
    of_the_search = [each for each in extensions if any(change.key in OF_THE_SEARCH for change in each.changes)]
    if of_the_search:
        last = of_the_search[-1].timestamp_ms
        before = [str(arm) for arm, seeds in arms.items() if arm.stage == CONFIRM and _began(seeds, tracked) < last]
        if before:
            notes.append(
                f"Confirmed before the search was extended, and still arms of this table: {some(before, len(before))}."
            )
    return notes


def stopped_notes(tracked: TrackedStudy) -> list[str]:
    """Why the study stopped before every arm was decided."""
    why = tracked.params.get(schema.STOPPED)
    return [f"Stopped after a whole round: {plain(why, 200)}."] if why else []


def _read(study: str, tag: str, text: str) -> Extension:
    try:
        return Extension.model_validate_json(text)
    except ValidationError:
        raise UserError(
            f"study {study}, parent run: tag `{tag}` is `{text[:60]}`, not an extension; correct or delete it"
        ) from None


def _moment(extension: Extension) -> str:
    return datetime.fromtimestamp(extension.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _changes(extension: Extension) -> str:
    return "; ".join(
        f"{plain(each.key)} from {plain(each.before, 80) or 'none'} to {plain(each.after, 80) or 'none'}"
        for each in extension.changes
    )


def _had_results(tracked: TrackedStudy, extension: Extension) -> bool:
    """Whether a training of the table had ended when the study was extended."""
    of_table = tracked.trials[tracked.trials[f"tags.{schema.STAGE}"].isin(STAGES_OF_A_TABLE)]
    has_ended = of_table[f"tags.{schema.OUTCOME}"].notna()
    return bool((frames.number(of_table, "end_time")[has_ended] <= extension.timestamp_ms).any())


def _began(seeds: ArmSeeds, tracked: TrackedStudy) -> float:
    """When the first training of an arm began, Unix time in milliseconds."""
    runs = {trial.run_id for trial in seeds.trials.values()}
    return float(frames.number(tracked.trials[tracked.trials["run_id"].isin(runs)], "start_time").min())
