"""Runs a stage: with Ray Tune, or with trials side by side in each worker."""

from study.adapters.ray_workers import let_workers_start
from study.running.lane_stage import run_in_lanes
from study.running.nodes import alive_nodes, copies
from study.running.stage import Placement, StageRun
from study.running.trainable import NodeRefs
from study.running.tune_stage import run_with_tune


def run_stage(stage: StageRun, placement: Placement, node_data: NodeRefs) -> None:
    """Run a stage until all its trials have ended.

    Raises:
        StudyFailed: no trial can train any more (a full disk).
        Exception: any error that the journal or the tracking raised in the driver.
    """
    total, finished = stage.journal.source.total, stage.journal.finished()
    stage.watcher.stage_begins(stage.journal.name, total, finished, placement.workers)
    if finished >= total:
        return
    let_workers_start()
    run = run_with_tune if placement.lanes == 1 else run_in_lanes
    run(stage, placement, node_data)
    if stage.error is not None:
        raise stage.error
    if len(alive_nodes()) > 1:
        stage.watcher.says(_spread(stage, node_data))
    stage.watcher.stage_ends(stage.journal.name)


def _spread(stage: StageRun, node_data: NodeRefs) -> str:
    """One line: on which nodes a stage's trials ran, and how many copies of the data the nodes hold."""
    trials = ", ".join(f"{node}: {count}" for node, count in sorted(stage.trials_of_nodes.items()))
    images, logits = copies(node_data.dataset), copies(node_data.targets)
    count, nodes = stage.trials_of_nodes.total(), len(stage.trials_of_nodes)
    return (
        f"{stage.journal.name}: {count} trials on {nodes} nodes ({trials}); "
        f"copies in the nodes' memory: {images or '?'} of the images, {logits or '?'} of the teachers' logits"
    )
