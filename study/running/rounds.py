"""A stage whose seeds are not fixed: it trains a round, looks, and trains the next round of the arms that are open.

Works on the plan of a stage, the journal, and a function that runs planned trainings. Decisions are made at whole
rounds only, from the test errors that the journal has. They are written to the journal, so a resume finds them there,
and any number of workers, kills and resumes gives the same verdicts. Knows nothing of Ray.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage

from study.config import ArmConfig, StudyConfig, TrialConfig
from study.planning.growth import Rounds, arm_key, arms_by_student, trials_of_round
from study.planning.keys import training_key
from study.planning.plan import expand
from study.results.arm_looks import ArmLook, State
from study.results.looks import look
from study.running.ended_runs import ended_run
from study.running.sources import TRAINING_KEY, Planned
from study.stages import STAGES_OF_A_TABLE, Stage
from study.tracking import schema
from study.tracking.events import Event, StudyTags

LOOKS = "look-"
"""User attribute of a stage, + the number of a look: what it found of each arm that was open, by the arm's key."""


@dataclass(frozen=True)
class Result:
    """What the journal has of a planned training.

    Attributes:
        trial_id: its id on the tracking server.
        test_error: a fraction of 1; None if it has not completed.
        seconds: of training so far; 0 if it has not ended.
    """

    trial_id: str
    test_error: float | None
    seconds: float


def results_of(storage: BaseStorage, study: str, stage: str) -> dict[str, Result]:
    """The planned trainings of a stage in the journal, by their training key. Of several the last counts.

    Args:
        storage: the journal.
        study: the study's name.
        stage: the stage's name.
    """
    found: dict[str, Result] = {}
    for trial in _trials(storage, f"{study}.{stage}"):
        if TRAINING_KEY in trial.user_attrs:
            run = ended_run(trial)
            summary = None if run is None else run.ended.summary
            completed = summary is not None and summary.outcome == "completed"
            found[str(trial.user_attrs[TRAINING_KEY])] = Result(
                trial_id=f"{stage}-{trial.number:04d}",
                test_error=summary.test_error if summary is not None and completed else None,
                seconds=0.0 if summary is None else summary.train_seconds,
            )
    return found


@dataclass(frozen=True)
class RoundsOfStage:
    """One stage in rounds.

    Args:
        config: the study.
        stage: `grid` or `confirm`.
        trials: every training that the stage may have.
        rounds: of the stage.
        planned: how many arms the whole table has, by the study file.
        digests: as in `study.planning.keys.training_key`.
        storage: the journal.
        track: takes an event for the tracking server; the event is on disk when this returns.
        baseline: the winner of the baseline's own search; None: the study's baseline as it is.
    """

    config: StudyConfig
    stage: Stage
    trials: Sequence[TrialConfig]
    rounds: Rounds
    planned: int
    digests: Mapping[str, str]
    storage: BaseStorage
    track: Callable[[Event], None]
    baseline: ArmConfig | None = None

    def run(
        self,
        train: Callable[[Planned], list[str]],
        over_budget: Callable[[int], str | None] = lambda trainings: None,
    ) -> tuple[list[str], str | None]:
        """Run round after round.

        Args:
            train: runs planned trainings that the journal does not have; returns why trainings failed.
            over_budget: is asked before a round, with the number of its new trainings; returns why the study stops.

        Returns:
            why trainings failed, one line for each. A round with failures has no look: a resume runs them again.
            And why the study stopped before the next round; None if it did not.
        """
        looks = self._recorded()
        for found in looks:
            self._track(found)
        while True:
            done = len(looks)
            plan = self._plan(done + 1, looks)
            is_over = self._is_over(looks)
            stopped = None
            if not is_over and done > 0:
                new = self._keys(plan) - self._keys(self._plan(done, looks))
                stopped = None if new & self._begun() else over_budget(len(new))  # a round that has begun is finished
            if is_over or stopped is not None:
                plan = self._plan(done, looks)
            failures = train(Planned(plan, self.digests))
            if failures or is_over or stopped is not None:
                return failures, stopped
            looks.append(self._look(done + 1, looks))

    def _plan(self, number: int, looks: Sequence[Mapping[str, ArmLook]]) -> list[TrialConfig]:
        number = min(number, len(self.rounds.ends))
        return trials_of_round(number, self.trials, self.rounds, self._ended(looks), self.digests)

    def _ended(self, looks: Sequence[Mapping[str, ArmLook]]) -> dict[str, int]:
        """The look at which an arm ended, by its key."""
        return {key: found.look for each in looks for key, found in each.items() if found.state != "open"}

    def _is_over(self, looks: Sequence[Mapping[str, ArmLook]]) -> bool:
        return len(looks) > 0 and all(found.state != "open" for found in looks[-1].values())

    def _keys(self, trials: Sequence[TrialConfig]) -> Set[str]:
        return {training_key(trial, self.digests) for trial in trials}

    def _begun(self) -> Set[str]:
        return results_of(self.storage, self.config.name, self.stage).keys()

    # ------------------------------------------------------------------------------------------------------- looks

    def _look(self, number: int, looks: Sequence[Mapping[str, ArmLook]]) -> dict[str, ArmLook]:
        """Judge the open arms after a round. What is found is written for the server first, and then to the journal."""
        ended, ends = self._ended(looks), self.rounds.ends
        of_stage = {stage: results_of(self.storage, self.config.name, stage) for stage in STAGES_OF_A_TABLE}
        found: dict[str, ArmLook] = {}
        for student, arms in arms_by_student(self.trials, self.digests).items():
            open_arms = {key: trials for key, trials in arms.items() if key not in ended}
            if not open_arms:
                continue
            judged = look(
                number,
                ends,
                self.rounds.seeds,
                {key: self._errors(trials, [of_stage[self.stage]]) for key, trials in open_arms.items()},
                self._errors(self._baselines(student), list(of_stage.values())),
                {},
                len(arms),
                self.config.smallest_effect,
                len(arms) / self.planned,
            )
            is_last = number == len(ends)
            still: State = "at_most" if is_last else "open"
            for state, verdicts in ((still, judged.open), ("decided", judged.decided), ("futile", judged.futile)):
                for key, verdict in verdicts.items():
                    seeds = ends[number] if state == "open" else ends[number - 1]
                    found[key] = ArmLook(look=number, state=state, seeds=seeds, verdict=verdict)
            for key in judged.lost:
                found[key] = ArmLook(look=number, state="lost", seeds=ends[number - 1], verdict=None)
        self._track(found)
        stage = optuna.load_study(study_name=f"{self.config.name}.{self.stage}", storage=self.storage)
        stage.set_user_attr(f"{LOOKS}{number}", {key: each.model_dump(mode="json") for key, each in found.items()})
        return found

    def _recorded(self) -> list[dict[str, ArmLook]]:
        """The looks that the journal has, oldest first."""
        attributes = _attributes(self.storage, f"{self.config.name}.{self.stage}")
        looks: list[dict[str, ArmLook]] = []
        while (found := attributes.get(f"{LOOKS}{len(looks) + 1}")) is not None:
            looks.append({key: ArmLook.model_validate(each) for key, each in found.items()})
        return looks

    def _track(self, found: Mapping[str, ArmLook]) -> None:
        """Send what a look found. The tag of an arm has the id of its trial with the first seed."""
        results = results_of(self.storage, self.config.name, self.stage)
        first = {
            arm_key(trial, self.digests): results[key].trial_id
            for trial in self.trials
            if trial.seed == self.rounds.seeds[0] and (key := training_key(trial, self.digests)) in results
        }
        tags = {f"{schema.VERDICT}{first[key]}": each.model_dump_json() for key, each in found.items()}
        if tags:
            self.track(StudyTags(tags=tags))

    def _baselines(self, student: str) -> list[TrialConfig]:
        """The baseline of a student over all seeds, whichever stage has trained it."""
        arm = self.baseline or self.config.baseline
        points = expand(self.config, arm, self.stage, "baseline", self.rounds.seeds)
        return [point.model_copy(update={"network": student}) for point in points]

    def _errors(self, trials: Sequence[TrialConfig], results: Sequence[Mapping[str, Result]]) -> dict[int, float]:
        """Test errors by seed."""
        found: dict[int, float] = {}
        for trial in trials:
            for of_stage in results:
                result = of_stage.get(training_key(trial, self.digests))
                if result is not None and result.test_error is not None:
                    found[trial.seed] = result.test_error
        return found


def _trials(storage: BaseStorage, name: str) -> list[optuna.trial.FrozenTrial]:
    if name not in optuna.get_all_study_names(storage):
        return []
    return optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)


def _attributes(storage: BaseStorage, name: str) -> dict[str, Any]:
    if name not in optuna.get_all_study_names(storage):
        return {}
    return dict(optuna.load_study(study_name=name, storage=storage).user_attrs)
