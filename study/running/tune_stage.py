"""A stage as a Ray Tune run: one trial at a time in each of Ray's workers.

Every start and every resume makes a new `Tuner`. The searcher takes its trials from the stage. The stage's pruner is a
scheduler for Ray.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.errors import StorageFull, StudyFailed
from study.records import TrialReport
from study.running.job import TrialJob
from study.running.stage import Placement, StageRun
from study.running.temporary import temporary_folder
from study.running.trainable import JOB, REPORT, DistillationTrainable, NodeRefs


class JournalSearcher(Searcher):
    """Ray Tune's searcher, which takes its trials from the journal. It limits how many run at once and has no state."""

    def __init__(self, stage: StageRun) -> None:
        super().__init__(metric="val_error", mode="min")
        self._stage = stage

    def suggest(self, trial_id: str) -> Any:
        """A configuration; None: ask again later; `Searcher.FINISHED`: there are no more trials."""
        job: TrialJob | str | None = Searcher.FINISHED
        with self._stage.stopping_on_errors():
            job = self._stage.next_job(trial_id)
        return {JOB: job} if isinstance(job, TrialJob) else job

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Handle a trial's last result, which Ray does not pass to the scheduler."""
        with self._stage.stopping_on_errors():
            if error or result is None or REPORT not in result:
                self._stage.on_worker_lost(trial_id)
            else:
                self._stage.trials_of_nodes[str(result.get("node_ip"))] += 1
                self._stage.on_report(trial_id, TrialReport.model_validate_json(result[REPORT]))

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its configuration for a restore that never comes."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """The journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """The journal is the state."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """The journal is the state."""


class JournalScheduler(FIFOScheduler):
    """Handles every report of a trial except the last one, and stops the trials that the journal's pruner stops."""

    def __init__(self, stage: StageRun) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stage = stage

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        with self._stage.stopping_on_errors():
            self._stage.on_report(trial.trial_id, TrialReport.model_validate_json(result[REPORT]))
        return str(TrialScheduler.STOP if self._stage.is_over(trial.trial_id) else TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its configuration for a restore that never comes."""
        return {}


class StopOnError(Stopper):
    """Stops every trial once the stage has an error."""

    def __init__(self, stage: StageRun) -> None:
        self._stage: StageRun | None = stage

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.stop_all()

    def stop_all(self) -> bool:
        return self._stage is not None and self._stage.error is not None

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its run configuration for a restore that never comes."""
        return {"_stage": None}


def run_with_tune(stage: StageRun, placement: Placement, node_data: NodeRefs) -> None:
    """Run the trials of a stage until all have ended, or the stage has an error."""
    with temporary_folder("noisy-study-ray-", "TMPDIR") as scratch:
        trainable = tune.with_resources(
            tune.with_parameters(DistillationTrainable, node_refs=node_data, device=placement.device),
            tune.PlacementGroupFactory([{"CPU": placement.cpus, "GPU": placement.gpus}], strategy="SPREAD"),
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=JournalSearcher(stage),
                scheduler=JournalScheduler(stage),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=stage.journal.name,
                storage_path=str(scratch),
                stop=StopOnError(stage),
                # The searcher handles lost workers: it suggests the same trial again.
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
                # The default in a notebook clears the cell's output, also the lines printed before.
                progress_reporter=tune.CLIReporter(),
            ),
        )
        with _machine_in_one_line(scratch):
            tuner.fit()


@contextmanager
def _machine_in_one_line(scratch: Path) -> Iterator[None]:
    """Turn Ray Tune's errors about a full memory and a full folder of temporary files into one line.

    Ray ends a worker when a node's memory is nearly full.

    Raises:
        StudyFailed: Ray ended a worker for that reason.
        StorageFull: Ray Tune's files have no room.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageFull(
            f"{scratch.parent}: the disk of temporary files is full; free some space there, or choose another folder "
            "with TMPDIR"
        ) from None
    except RuntimeError as error:
        if "running low on memory" not in str(error):
            raise
        raise StudyFailed(
            "Ray ended a worker because its machine had almost no memory left; free some, or lower resources.workers"
        ) from None
