"""What the looks of a study found, as tags of the parent run.

Works on tags and parameters. Knows nothing of how a look judges. The study that runs writes these tags, and a table
reads its verdicts from them: it does not judge such arms again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from study.errors import UserError
from study.results.looks import LookVerdict
from study.results.read import TrackedStudy
from study.stages import CONFIRM, GRID
from study.tracking import schema
from study.values import Model

State = Literal["open", "decided", "futile", "at_most", "lost"]
"""Why an arm has no more seeds than it has: it waits for the next round; it is decided; it could hardly be decided;
it has all seeds; it, or its baseline, lost a seed."""


class ArmLook(Model):
    """What is known of an arm after a look.

    Attributes:
        look: which one, from 1.
        state: whether it gets more seeds.
        seeds: how many it has at the end of its rounds; an open arm: at the end of the next round.
        verdict: of the look; None for an arm that lost a seed.
    """

    look: int
    state: State
    seeds: int
    verdict: LookVerdict | None


@dataclass(frozen=True)
class Looks:
    """The looks of a study.

    Attributes:
        rounds: how many seeds the rounds of a stage end with, by stage; stages with fixed seeds are not there.
        of_trials: what the last look found of an arm, by the id of its trial with the first seed.
    """

    rounds: Mapping[str, tuple[int, ...]]
    of_trials: Mapping[str, ArmLook]

    def of_arm(self, trial_ids: Iterable[str | None]) -> ArmLook | None:
        """What the last look found of an arm; None before the first one, and for fixed seeds.

        Args:
            trial_ids: of its trials.
        """
        return next((self.of_trials[each] for each in trial_ids if each is not None and each in self.of_trials), None)


def looks_of(tracked: TrackedStudy) -> Looks:
    """The looks of a tracked study.

    Raises:
        UserError: a tag or a parameter cannot be read.
    """
    names = {GRID: schema.SEED_ROUNDS, CONFIRM: schema.CONFIRM_ROUNDS}
    return Looks(
        rounds={stage: found for stage, name in names.items() if (found := _rounds(tracked, name))},
        of_trials={
            tag.removeprefix(schema.VERDICT): _read(tracked.name, tag, text)
            for tag, text in tracked.tags.items()
            if tag.startswith(schema.VERDICT)
        },
    )


def _rounds(tracked: TrackedStudy, name: str) -> tuple[int, ...]:
    text = tracked.params.get(name, "")
    try:
        return tuple(int(end) for end in text.split(",") if end)
    except ValueError:
        raise UserError(
            f"study {tracked.name}, parent run: parameter `{name}` is `{text[:60]}`, not a list of numbers"
        ) from None


def _read(study: str, tag: str, text: str) -> ArmLook:
    try:
        return ArmLook.model_validate_json(text)
    except ValidationError:
        raise UserError(
            f"study {study}, parent run: tag `{tag}` is `{text[:60]}`, not a verdict; correct or delete it"
        ) from None
