"""The stages of one study, in order: teachers, grid, search, confirmation.

Works on a study file, images in memory, a journal and a function that tracks events. Each stage runs the trials that
its journal does not have yet. Knows nothing of how a study was started or of what its watcher does.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from optuna import get_all_study_names
from optuna.storages import BaseStorage

from models.cost import network_cost
from search_spaces.spaces import get_space
from study.config import (
    ArmConfig,
    SearchConfig,
    StudyConfig,
    TrialConfig,
    teacher_trial,
)
from study.data.dataset import Dataset, DatasetFacts
from study.distill.logit_store import LogitStore
from study.distill.tensor_files import is_damaged
from study.distill.threads import teacher_threads, worthwhile_threads
from study.errors import NothingFound, StudyFailed
from study.planning import plan
from study.planning.advice import nothing_completed
from study.planning.check import Fits
from study.planning.growth import Rounds, confirmation_rounds, grid_rounds, search_round
from study.planning.keys import logits_key, training_key
from study.planning.proposals import proposed_arm, proposed_baseline
from study.running.engine import Capacity
from study.running.job import TrialJob
from study.running.journal import StageJournal
from study.running.rounds import RoundsOfStage
from study.running.run_stage import run_stage
from study.running.sources import Planned, Searched, TrialSource, keys_of_plan
from study.running.spent import over_budget, spent
from study.running.stage import Placement, StageRun
from study.running.taught import TaughtLogits
from study.running.trainable import NodeRefs
from study.running.trial import WEIGHTS, FloatArray
from study.running.watcher import Watcher
from study.stages import CONFIRM, GRID, SEARCH, SEARCH_BASELINE, TEACHER, Stage, teacher_pass
from study.storage import Ownership, StudyFolder
from study.tracking import schema
from study.tracking.events import Event, StudyParams
from study.tracking.names import Cost, run_params


@dataclass(frozen=True)
class StudyContext:
    """What the stages of one study work with.

    Attributes:
        config: the study.
        dataset: what its students learn from.
        whole: what its teachers learn from: the same, or the images that `dataset` is a share of.
        digests: as in `study.planning.keys.training_key`, of everything that the study file names.
        folder: the study's own.
        root: the folder in which all studies share their teachers.
        storage: the Optuna storage of the journal.
        owner: the study's id and its starts, which the journal keeps.
        watcher: is called when something happens.
        track: takes the events that go to the tracking server.
        capacity: the CPUs and GPUs of the nodes.
    """

    config: StudyConfig
    dataset: Dataset
    whole: Dataset
    digests: Mapping[str, str]
    folder: StudyFolder
    root: Path
    storage: BaseStorage
    owner: Ownership
    watcher: Watcher
    track: Callable[[Event], None]
    capacity: Capacity


class Pipeline:
    """Runs the stages of a study that are not finished."""

    def __init__(self, context: StudyContext) -> None:
        self._context = context
        self._config, self._dataset, self._whole = context.config, context.dataset, context.whole
        self._dataset_ref = ray.put(self._dataset)
        self._whole_ref = self._dataset_ref if self._whole is self._dataset else ray.put(self._whole)
        nothing: dict[str, FloatArray] = {}
        self._taught: set[int] = set()
        says = context.watcher.says
        self._logits = TaughtLogits(context.root, self._dataset, self._whole, context.digests, self._threads, says)
        self._targets_ref = ray.put(nothing)
        self._costs: dict[str, Cost] = {}
        self._designs = plan.teacher_designs(self._config, context.digests)
        self._elsewhere: Callable[[TrialConfig], bool] = plan.nowhere
        self._planned_arms = 0

    def run(self) -> list[str]:
        """Run every stage.

        Returns:
            why trials failed, one line for each; diverged and pruned trials are not failures.

        Raises:
            StudyFailed: a teacher could not be trained, or no trial of a search completed.
        """
        failures: list[str] = []
        placement = self._placement()
        # A baseline that was confirmed before arms or seeds were added belongs to the confirmation for good.
        confirmed = keys_of_plan(self._context.storage, f"{self._config.name}.{CONFIRM}")
        self._elsewhere = lambda trial: training_key(trial, self._context.digests) in confirmed
        stopped: str | None = None
        grid = plan.grid_trials(self._config, self._elsewhere)
        self._planned_arms = plan.count_arms(grid)
        if self._config.search is not None:
            self._planned_arms += self._config.search.confirm.top
        if grid:
            failures, stopped = self._run_planned(GRID, grid, grid_rounds(self._config), placement)
            stopped = stopped or self._no_search()
        if self._config.search is not None and stopped is None:
            failed, stopped = self._search_and_confirm(self._config.search, placement)
            failures += failed
        if self._config.budget is not None:
            self._context.track(StudyParams(params={schema.STOPPED: stopped or ""}))
        if stopped is not None:
            self._context.watcher.says(
                f"stopped after a whole round: {stopped}; with a larger budget it runs on: noisy-study extend "
                f"{self._config.name} --set budget.KEY=NUMBER"
            )
        return failures

    def _no_search(self) -> str | None:
        """Why the search does not begin; None if it does, or has begun, or there is none."""
        has_begun = f"{self._config.name}.{SEARCH}" in get_all_study_names(self._context.storage)
        if self._config.search is None or has_begun:
            return None
        why = self._over_budget(search_round(self._config))
        return None if why is None else f"{why}; the search did not run"

    def _over_budget(self, trainings: int) -> str | None:
        """Why a round with so many trainings does not begin; None if it does."""
        return over_budget(self._config.budget, spent(self._context.storage, self._config.name), trainings)

    def _run_planned(
        self,
        stage: Stage,
        trials: Sequence[TrialConfig],
        rounds: Rounds | None,
        placement: Placement,
        baseline: ArmConfig | None = None,
    ) -> tuple[list[str], str | None]:
        """Run planned trainings, in rounds if the seeds are not fixed.

        Returns:
            why trials failed, and why the study stopped before all arms were decided.
        """
        context = self._context

        def train(source: Planned) -> list[str]:
            self._teach(trial.seed for trial in source.trials)
            return self._run(stage, source, placement).reasons("failed")

        if rounds is None:
            return train(Planned(trials, context.digests)), None
        planned, digests = self._planned_arms, context.digests
        of_stage = RoundsOfStage(
            self._config, stage, trials, rounds, planned, digests, context.storage, context.track, baseline
        )
        return of_stage.run(train, self._over_budget)

    def _search_and_confirm(self, search: SearchConfig, placement: Placement) -> tuple[list[str], str | None]:
        """Search the arms, search the baseline if the study asks for it, and train the best of both with new seeds.

        Returns:
            as `_run_planned`.
        """
        classes = self._dataset.class_count
        fits = Fits(self._config, DatasetFacts(self._dataset.input_shape, classes))
        space = proposed_arm(self._config, get_space(search.space), fits)
        arms = Searched(self._config, space, self._multiplications, classes)
        winners, failures = self._searched(
            SEARCH, arms, search.confirm.top, placement, lambda point: plan.is_the_baseline(self._config, point)
        )
        self._context.track(StudyParams(params={schema.CONFIRM_POINTS: str(len(winners))}))
        baseline: ArmConfig | None = None
        if self._config.baseline.search is not None:
            own = proposed_baseline(self._config)
            settings = Searched(self._config, own, self._multiplications, classes, role="baseline")
            found, failed = self._searched(SEARCH_BASELINE, settings, 1, placement)
            baseline, failures = found[0], failures + failed
        in_grid = keys_of_plan(self._context.storage, f"{self._config.name}.{GRID}")
        confirmation = plan.confirmation_trials(
            self._config, winners, baseline, lambda trial: training_key(trial, self._context.digests) in in_grid
        )
        self._planned_arms += max(plan.count_arms(confirmation) - search.confirm.top, 0)
        rounds = confirmation_rounds(self._config)
        failed, stopped = self._run_planned(CONFIRM, confirmation, rounds, placement, baseline)
        return failures + failed, stopped

    def _searched(
        self,
        name: str,
        source: Searched,
        count: int,
        placement: Placement,
        excluded: Callable[[TrialConfig], bool] | None = None,
    ) -> tuple[list[ArmConfig], list[str]]:
        """Run one search.

        Returns:
            the best arms, none of them `excluded`, and why trials failed.

        Raises:
            StudyFailed: no trial completed, and some failed.
            NothingFound: no trial completed, and none failed.
        """
        self._teach([self._config.search_seed])
        journal = self._run(SEARCH, source, placement, name)
        failed, diverged = journal.reasons("failed"), journal.reasons("diverged")
        if not journal.best(1):
            if failed:
                raise StudyFailed(f"no trial of the stage {name} completed: {failed[0]}")
            raise NothingFound(nothing_completed(self._config.name, name, journal.finished(), diverged))
        return [source.arm(trial) for trial in journal.choose(count, excluded)], failed

    def _teach(self, seeds: Iterable[int]) -> None:
        """Train the teachers of these seeds that are not trained, and load what their students learn from.

        Teachers that do not vary over seeds are trained before the first student.
        """
        new = set(seeds) - self._taught
        if self._taught and (not new or not self._config.varies_teacher):
            return
        self._taught |= new
        needed = sorted(self._taught)
        self._train_teachers(needed)
        targets, digests = self._logits.for_students(plan.targets(self._config, needed))
        self._targets_ref = ray.put(targets)
        self._context.track(StudyParams(params={schema.LOGITS_DIGESTS: json.dumps(digests)}))

    def _train_teachers(self, seeds: Sequence[int]) -> None:
        """Train the teachers level by level: the teachers of a teacher are trained before it."""
        levels = plan.teacher_levels(self._config, seeds)
        for level, trials in enumerate(plan.teacher_levels(self._config)):
            # Those of other seeds that the journal has belong to the plan, too.
            name, digests = teacher_pass(level), self._context.digests
            planned = {training_key(trial, digests) for trial in levels[level]}
            planned |= keys_of_plan(self._context.storage, f"{self._config.name}.{name}")
            trials = [trial for trial in trials if training_key(trial, digests) in planned]
            targets = [(trial.taught_by, trial.combine) for trial in trials if trial.teachers]
            self._targets_ref = ray.put(self._logits.for_teachers(targets))
            journal = self._run(TEACHER, Planned(trials, digests), self._teacher_placement(trials), name)
            failures = [reason for outcome in ("failed", "diverged") for reason in journal.reasons(outcome)]
            if failures:
                raise StudyFailed(f"a teacher could not be trained: {failures[0]}")

    def _run(self, stage: Stage, source: TrialSource, placement: Placement, name: str | None = None) -> StageJournal:
        lost = self._is_lost_teacher if stage == TEACHER else self._is_lost
        seeds = {SEARCH: (self._config.search_seed,), CONFIRM: self._config.confirmation_seeds}.get(stage, ())
        storage, study, owner = self._context.storage, self._config.name, self._context.owner
        journal = StageJournal(storage, study, stage, source, name, owner, lost, seeds)
        run = StageRun(
            journal=journal,
            job=self._job,
            params=self._params,
            track=self._context.track,
            watcher=self._context.watcher,
            workers=placement.workers,
            root=self._context.root,
        )
        images = self._whole_ref if stage == TEACHER else self._dataset_ref
        run_stage(run, placement, NodeRefs(images, self._targets_ref))
        return journal

    # ------------------------------------------------------------------------------------------------ damaged files

    def _is_lost(self, trial_id: str, config: Callable[[], TrialConfig]) -> bool:
        """Whether the weights of a completed student are damaged. Weights that somebody has deleted stay so."""
        return is_damaged(self._context.folder.trial(trial_id) / WEIGHTS)

    def _is_lost_teacher(self, trial_id: str, config: Callable[[], TrialConfig]) -> bool:
        """Whether a completed teacher is to be trained again: its weights are damaged, or nothing is left of it."""
        trial = config()
        if trial.is_given:
            return False
        key = logits_key(trial, self._whole.digest, self._context.digests)
        file = self._context.root / "teachers" / key / WEIGHTS
        if file.exists():
            return is_damaged(file)
        images = self._whole
        return LogitStore(self._logits.folder).read(key, images.train_size, images.class_count) is None

    # --------------------------------------------------------------------------------------------------- placement

    def _placement(self) -> Placement:
        asked = self._config.resources
        fit = self._context.capacity.workers(asked.cpus_per_trial, asked.gpus_per_trial) * asked.students_per_gpu
        workers = fit if asked.workers == "auto" else asked.workers
        return Placement(workers, asked.cpus_per_trial, asked.gpus_per_trial, asked.students_per_gpu)

    def _teacher_placement(self, trials: Sequence[TrialConfig]) -> Placement:
        """What each teacher gets: the CPUs that the largest teacher can use, and a whole GPU if trials use GPUs."""
        asked = self._config.resources
        with_gpu = asked.gpus_per_trial > 0
        node = self._context.capacity.largest(with_gpu)
        # Never less than a trial gets: the cluster may have to grow before a node has that much.
        cpus = max(min(node.cpus, max(map(self._threads, trials))), asked.cpus_per_trial)
        gpus = max(min(1.0, node.gpus), asked.gpus_per_trial) if with_gpu else 0.0
        return Placement(self._context.capacity.workers(cpus, gpus), cpus, gpus)

    # -------------------------------------------------------------------------------------------------------- jobs

    def _job(self, number: int, trial_id: str, trial: TrialConfig) -> TrialJob:
        target = self._logits.key(trial.taught_by, trial.combine) if trial.teachers else None
        threads, processors = self._threads(trial), self._context.folder.processors.absolute()
        code = self._context.folder.code
        if trial.stage == TEACHER:
            # The folder's name is the teacher's key, so another study with the same teacher finds it trained.
            key = logits_key(trial, self._whole.digest, self._context.digests)
            folder = (self._context.root / "teachers" / key).absolute()
            return TrialJob(number, trial, folder, target, self._logits.folder, key, threads, processors, code)
        folder = self._context.folder.trial(trial_id).absolute()
        return TrialJob(number, trial, folder, target, self._logits.folder, None, threads, processors, code)

    def _threads(self, trial: TrialConfig) -> int:
        """How many threads train it. That never depends on the CPUs of a node."""
        if not trial.has_network:
            return 1
        multiplications, batch_size = self._multiplications(trial.network), trial.train.batch_size
        if trial.stage == TEACHER:
            return teacher_threads(multiplications, batch_size)
        return min(worthwhile_threads(multiplications, batch_size), self._config.resources.cpus_per_trial)

    def _params(self, trial: TrialConfig) -> dict[str, str]:
        teachers = None
        if trial.teachers:
            own = [teacher_trial(teacher) for teacher in trial.teachers]
            if all(teacher.has_network for teacher in own):
                costs = [self._cost(teacher.network) for teacher in own]
                teachers = Cost(sum(c.multiplications for c in costs), sum(c.parameters for c in costs))
        digests = self._context.digests
        design = self._designs[training_key(trial, digests)] if trial.stage == TEACHER else None
        cost = self._cost(trial.network) if trial.has_network else None
        return run_params(trial, self._config.data.name, cost, teachers, digests, design)

    def _multiplications(self, network: str) -> int:
        return self._cost(network).multiplications

    def _cost(self, network: str) -> Cost:
        if network not in self._costs:
            counted = network_cost(network, self._dataset.input_shape, self._dataset.class_count)
            self._costs[network] = Cost(counted.multiplications, counted.parameters)
        return self._costs[network]
