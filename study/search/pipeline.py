"""The stages of one study, in order: teachers, grid, search, confirmation.

Works on a study file, images in memory, a journal and a tracking client; each stage goes on from where its journal
stands. Knows nothing of how a study was started or by whom it is watched.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import ray
from torch import Tensor

from models import zoo
from models.cost import network_cost
from search_spaces.spaces import get_space
from study.config import Stage, StudyConfig, TeacherConfig, TrialConfig
from study.data.batches import ImageTensors
from study.data.dataset import Dataset
from study.distill.logit_store import LogitStore, file_digest, key_of, tensor_digest
from study.distill.teachers import combined, load_weights, logits_of
from study.errors import StudyFailed
from study.search import plan
from study.search.engine import Capacity
from study.search.journal import Planned, Searched, Source, StageJournal, open_storage
from study.search.stage import Placement, StageRun, run_stage
from study.search.trainable import NodeRefs
from study.search.trial import WEIGHTS, FloatArray, TrialJob
from study.search.watcher import Watcher
from study.storage import StudyFolder
from study.tracking import schema
from study.tracking.client import TrackingClient
from study.tracking.names import Cost, run_params


class Pipeline:
    """Runs what is left of a study."""

    def __init__(
        self,
        config: StudyConfig,
        dataset: Dataset,
        folder: StudyFolder,
        root: Path,
        watcher: Watcher,
        tracking: TrackingClient,
        capacity: Capacity,
    ) -> None:
        self._config, self._dataset, self._folder, self._root = config, dataset, folder, root
        self._watcher, self._tracking, self._capacity = watcher, tracking, capacity
        self._storage = open_storage(f"sqlite:///{folder.journal}")
        self._dataset_ref = ray.put(dataset)
        nothing: dict[str, FloatArray] = {}
        self._targets_ref = ray.put(nothing)
        self._costs: dict[str, Cost] = {}

    def run(self) -> list[str]:
        """Run every stage.

        Returns:
            why trials failed, one line each; diverged and pruned trials are results and not failures.

        Raises:
            StudyFailed: a teacher could not be trained, or a search brought nothing to confirm.
        """
        failures: list[str] = []
        teachers = self._run("teacher", Planned(plan.teacher_trials(self._config)), self._teacher_placement())
        lost = [reason for outcome in ("failed", "diverged") for reason in teachers.reasons(outcome)]
        if lost:
            raise StudyFailed(f"a teacher could not be trained: {lost[0]}")
        self._load_targets()
        placement = self._placement()
        if grid := plan.grid_trials(self._config):
            failures += self._run("grid", Planned(grid), placement).reasons("failed")
        if self._config.search is not None:
            space = get_space(self._config.search.space)
            search = self._run("search", Searched(self._config, space), placement)
            winners = search.best(self._config.search.confirm.top)
            failures += search.reasons("failed")
            if not winners:
                raise StudyFailed(f"no trial of the search completed: {(*failures, 'all of them diverged')[0]}")
            confirmation = plan.confirmation_trials(self._config, [space(trial) for trial in winners])
            failures += self._run("confirm", Planned(confirmation), placement).reasons("failed")
        return failures

    def _run(self, name: Stage, source: Source, placement: Placement) -> StageJournal:
        journal = StageJournal(self._storage, self._config.name, name, source)
        stage = StageRun(
            journal=journal,
            job=self._job,
            params=self._params,
            track=self._tracking.apply,
            watcher=self._watcher,
            workers=placement.workers,
        )
        run_stage(stage, placement, NodeRefs(self._dataset_ref, self._targets_ref))
        return journal

    # --------------------------------------------------------------------------------------------------- placement

    def _placement(self) -> Placement:
        wanted = self._config.resources
        fit = self._capacity.workers(wanted.cpus_per_trial, wanted.gpus_per_trial)
        workers = fit if wanted.workers == "auto" else wanted.workers
        return Placement(workers, wanted.cpus_per_trial, wanted.gpus_per_trial)

    def _teacher_placement(self) -> Placement:
        """A teacher gets a whole node's CPUs, and a GPU where trials get a part of one."""
        gpus = 1.0 if self._config.resources.gpus_per_trial > 0 else 0.0
        return Placement(self._capacity.workers(self._capacity.node_cpus, gpus), self._capacity.node_cpus, gpus)

    # -------------------------------------------------------------------------------------------------------- jobs

    def _job(self, number: int, trial_id: str, trial: TrialConfig) -> TrialJob:
        if trial.stage == "teacher":
            # Its folder is its key's: another study that asks for the same teacher finds it trained.
            key = self._teacher_key(trial.network, trial.weights, trial)
            return TrialJob(number, trial, (self._root / "teachers" / key).absolute(), None, self._logits, key)
        target = _target_key(trial.teachers) if trial.teachers else None
        return TrialJob(number, trial, self._folder.trial(trial_id).absolute(), target, self._logits)

    def _params(self, trial: TrialConfig) -> dict[str, str]:
        teachers = None
        if trial.teachers:
            costs = [self._cost(teacher.network) for teacher in trial.teachers]
            teachers = Cost(sum(c.multiplications for c in costs), sum(c.parameters for c in costs))
        return run_params(trial, self._config.data.name, self._cost(trial.network), teachers)

    def _cost(self, network: str) -> Cost:
        if network not in self._costs:
            counted = network_cost(network, self._dataset.input_shape, self._dataset.class_count)
            self._costs[network] = Cost(counted.multiplications, counted.parameters)
        return self._costs[network]

    # ---------------------------------------------------------------------------------------------------- teachers

    @property
    def _logits(self) -> Path:
        return (self._root / "logits").absolute()

    def _teacher_key(self, network: str, weights: str | None, training: TrialConfig | TeacherConfig) -> str:
        """What determines a teacher: its weights file, or its training; and the images."""
        made_by = file_digest(Path(weights)) if weights else [training.train.model_dump(), training.seed]
        return key_of(network, made_by, self._dataset.digest)

    def _load_targets(self) -> None:
        """Put every target that a trial can ask for where the workers find it."""
        targets: dict[str, FloatArray] = {}
        digests: dict[str, str] = {}
        for teachers in plan.teacher_groups(self._config):
            target = combined([self._read_logits(teacher) for teacher in teachers])
            targets[_target_key(teachers)] = target.numpy()
            digests["+".join(teacher.network for teacher in teachers)] = tensor_digest(target)
        self._targets_ref = ray.put(targets)
        self._tracking.log_study(params={schema.LOGITS_DIGESTS: json.dumps(digests)})

    def _read_logits(self, teacher: TeacherConfig) -> Tensor:
        """A trained teacher's logits; should somebody have cleared the store, they are made again."""
        key = self._teacher_key(teacher.network, teacher.weights, teacher)
        store = LogitStore(self._logits)
        logits = store.read(key, self._dataset.train_size)
        if logits is None:
            network = zoo.build(teacher.network, self._dataset.input_shape, self._dataset.class_count)
            load_weights(network, Path(teacher.weights or self._root / "teachers" / key / WEIGHTS))
            logits = logits_of(network, ImageTensors.of(self._dataset, "train"))
            store.write(key, logits)
        return logits


def _target_key(teachers: Sequence[TeacherConfig]) -> str:
    return key_of([teacher.model_dump() for teacher in teachers])
