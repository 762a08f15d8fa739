"""The stages of one study, in order: teachers, grid, search, confirmation.

Works on a study file, images in memory, a journal and a function that tracks events. Each stage runs the trials that
its journal does not have yet. Knows nothing of how a study was started or of what its watcher does.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import ray
from optuna.storages import BaseStorage
from torch import Tensor

from models import zoo
from models.cost import network_cost
from search_spaces.spaces import get_space
from study.config import (
    ArmConfig,
    Combination,
    SearchConfig,
    StudyConfig,
    TeacherConfig,
    TrialConfig,
    teacher_trial,
)
from study.data.dataset import Dataset, DatasetFacts
from study.data.tensors import ImageTensors
from study.distill.logit_store import LogitStore, tensor_digest
from study.distill.teachers import combined, load_weights, logits_of
from study.distill.tensor_files import is_damaged
from study.distill.threads import teacher_threads, using_threads, worthwhile_threads
from study.errors import NothingFound, StudyFailed
from study.planning import plan
from study.planning.advice import nothing_completed
from study.planning.check import Fits
from study.planning.keys import digest_of, logits_key, teacher_key, training_key, validation_key
from study.planning.proposals import proposed_arm, proposed_baseline
from study.running.engine import Capacity
from study.running.journal import StageJournal
from study.running.sources import Planned, Searched, TrialSource
from study.running.stage import Placement, StageRun, run_stage
from study.running.trainable import NodeRefs
from study.running.trial import WEIGHTS, FloatArray, TrialJob
from study.running.watcher import Watcher
from study.stages import CONFIRM, GRID, SEARCH, SEARCH_BASELINE, TEACHER, Stage, teacher_pass
from study.storage import Ownership, StudyFolder
from study.tracking import schema
from study.tracking.events import Event, StudyParams
from study.tracking.names import Cost, run_params

LogitSplit = Literal["train", "validation"]
"""Images that logits are stored of."""


@dataclass(frozen=True)
class StudyContext:
    """What the stages of one study work with.

    Attributes:
        config: the study.
        dataset: what its students learn from.
        whole: what its teachers learn from: the same, or the images that `dataset` is a share of.
        weights: SHA-256 of every weights file that the study names, by its path in the study file.
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
    weights: Mapping[str, str]
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
        self._targets_ref = ray.put(nothing)
        self._costs: dict[str, Cost] = {}
        self._designs = plan.teacher_designs(self._config, context.weights)

    def run(self) -> list[str]:
        """Run every stage.

        Returns:
            why trials failed, one line for each; diverged and pruned trials are not failures.

        Raises:
            StudyFailed: a teacher could not be trained, or no trial of a search completed.
        """
        failures: list[str] = []
        self._train_teachers()
        self._load_targets()
        placement = self._placement()
        if grid := plan.grid_trials(self._config):
            failures += self._run(GRID, Planned(grid, self._context.weights), placement).reasons("failed")
        if self._config.search is not None:
            failures += self._search_and_confirm(self._config.search, placement)
        return failures

    def _search_and_confirm(self, search: SearchConfig, placement: Placement) -> list[str]:
        """Search the arms, search the baseline if the study asks for it, and train the best of both with new seeds."""
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
        confirmation = plan.confirmation_trials(self._config, winners, baseline)
        return failures + self._run(CONFIRM, Planned(confirmation, self._context.weights), placement).reasons("failed")

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
        journal = self._run(SEARCH, source, placement, name)
        failed, diverged = journal.reasons("failed"), journal.reasons("diverged")
        if not journal.best(1):
            if failed:
                raise StudyFailed(f"no trial of the stage {name} completed: {failed[0]}")
            raise NothingFound(nothing_completed(self._config.name, name, journal.finished(), diverged))
        return [source.arm(trial) for trial in journal.choose(count, excluded)], failed

    def _train_teachers(self) -> None:
        """Train the teachers level by level: the teachers of a teacher are trained before it."""
        for level, trials in enumerate(plan.teacher_levels(self._config)):
            targets = [(trial.taught_by, trial.combine) for trial in trials if trial.teachers]
            self._targets_ref = ray.put(
                {
                    self._target_key(teachers, how): combined([self._logits_of(one) for one in teachers], how).numpy()
                    for teachers, how in targets
                }
            )
            teachers = Planned(trials, self._context.weights)
            journal = self._run(TEACHER, teachers, self._teacher_placement(trials), teacher_pass(level))
            failures = [reason for outcome in ("failed", "diverged") for reason in journal.reasons(outcome)]
            if failures:
                raise StudyFailed(f"a teacher could not be trained: {failures[0]}")

    def _run(self, stage: Stage, source: TrialSource, placement: Placement, name: str | None = None) -> StageJournal:
        lost = self._is_lost_teacher if stage == TEACHER else self._is_lost
        journal = StageJournal(self._context.storage, self._config.name, stage, source, name, self._context.owner, lost)
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
        if trial.weights is not None:
            return False
        key = logits_key(trial, self._whole.digest, self._context.weights)
        file = self._context.root / "teachers" / key / WEIGHTS
        if file.exists():
            return is_damaged(file)
        images = self._whole
        return LogitStore(self._logits).read(key, images.train_size, images.class_count) is None

    # --------------------------------------------------------------------------------------------------- placement

    def _placement(self) -> Placement:
        asked = self._config.resources
        fit = self._context.capacity.workers(asked.cpus_per_trial, asked.gpus_per_trial)
        workers = fit if asked.workers == "auto" else asked.workers
        return Placement(workers, asked.cpus_per_trial, asked.gpus_per_trial)

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
        target = self._target_key(trial.taught_by, trial.combine) if trial.teachers else None
        threads, processors = self._threads(trial), self._context.folder.processors.absolute()
        if trial.stage == TEACHER:
            # The folder's name is the teacher's key, so another study with the same teacher finds it trained.
            key = logits_key(trial, self._whole.digest, self._context.weights)
            folder = (self._context.root / "teachers" / key).absolute()
            return TrialJob(number, trial, folder, target, self._logits, key, threads, processors)
        folder = self._context.folder.trial(trial_id).absolute()
        return TrialJob(number, trial, folder, target, self._logits, None, threads, processors)

    def _threads(self, trial: TrialConfig) -> int:
        """How many threads train it. That never depends on the CPUs of a node."""
        multiplications, batch_size = self._multiplications(trial.network), trial.train.batch_size
        if trial.stage == TEACHER:
            return teacher_threads(multiplications, batch_size)
        return min(worthwhile_threads(multiplications, batch_size), self._config.resources.cpus_per_trial)

    def _params(self, trial: TrialConfig) -> dict[str, str]:
        teachers = None
        if trial.teachers:
            costs = [self._cost(teacher.network) for teacher in trial.teachers]
            teachers = Cost(sum(c.multiplications for c in costs), sum(c.parameters for c in costs))
        weights = self._context.weights
        design = self._designs[training_key(trial, weights)] if trial.stage == TEACHER else None
        return run_params(trial, self._config.data.name, self._cost(trial.network), teachers, weights, design)

    def _multiplications(self, network: str) -> int:
        return self._cost(network).multiplications

    def _cost(self, network: str) -> Cost:
        if network not in self._costs:
            counted = network_cost(network, self._dataset.input_shape, self._dataset.class_count)
            self._costs[network] = Cost(counted.multiplications, counted.parameters)
        return self._costs[network]

    # ---------------------------------------------------------------------------------------------------- teachers

    @property
    def _logits(self) -> Path:
        return (self._context.root / "logits").absolute()

    def _load_targets(self) -> None:
        """Put the combined teacher logits of all trials into Ray's object store."""
        targets: dict[str, FloatArray] = {}
        digests: dict[str, str] = {}
        for teachers, how in plan.targets(self._config):
            target = combined([self._logits_for_students(teacher) for teacher in teachers], how)
            targets[self._target_key(teachers, how)] = target.numpy()
            digests[self._target_key(teachers, how)] = tensor_digest(target)
            judged = combined([self._logits_for_students(teacher, "validation") for teacher in teachers], how)
            targets[validation_key(self._target_key(teachers, how))] = judged.numpy()
        self._targets_ref = ray.put(targets)
        self._context.track(StudyParams(params={schema.LOGITS_DIGESTS: json.dumps(digests)}))

    def _logits_of(self, teacher: TeacherConfig, split: LogitSplit = "train") -> Tensor:
        """A trained teacher's logits for the images that teachers learn from, or are judged by."""
        key = self._logits_key(teacher)
        return self._stored_logits(teacher, key, key, self._whole, split)

    def _logits_for_students(self, teacher: TeacherConfig, split: LogitSplit = "train") -> Tensor:
        """A trained teacher's logits for the images that students learn from, or are judged by."""
        if self._whole is self._dataset:
            return self._logits_of(teacher, split)
        key = self._logits_key(teacher)
        # The teacher's input stays as in its training: the mean image of all training images is subtracted.
        share = replace(self._dataset, pixel_mean=self._whole.pixel_mean)
        return self._stored_logits(teacher, key, digest_of(key, self._dataset.digest), share, split)

    def _stored_logits(
        self, teacher: TeacherConfig, folder: str, key: str, images: Dataset, split: LogitSplit
    ) -> Tensor:
        """Logits from the store. If they are missing there, they are computed and stored."""
        store = LogitStore(self._logits)
        if split == "validation":
            key = validation_key(key)
        count = images.train_size if split == "train" else len(images.validation.labels)
        logits = store.read(key, count, images.class_count)
        if logits is None:
            if store.path(key).exists():
                self._context.watcher.says(f"{store.path(key)}: damaged; the logits are made again from the weights")
            network = zoo.build(teacher.network, images.input_shape, images.class_count)
            load_weights(network, Path(teacher.weights or self._context.root / "teachers" / folder / WEIGHTS))
            with using_threads(self._threads(teacher_trial(teacher))):
                logits = logits_of(network, ImageTensors.of(images, split))
            store.write(key, logits)
        return logits

    def _logits_key(self, teacher: TeacherConfig) -> str:
        """The key of a teacher's weights and of its logits for the images that teachers learn from."""
        return logits_key(teacher_trial(teacher), self._whole.digest, self._context.weights)

    def _target_key(self, teachers: Sequence[TeacherConfig], how: Combination) -> str:
        """What identifies the combined logits that a student learns from."""
        return f"{teacher_key(teachers, self._context.weights)} {how}"
