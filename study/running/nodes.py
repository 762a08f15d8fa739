"""The nodes of a cluster: who they are, whether they see what a study needs, and what lies in their memory.

Works on the Ray that this process has joined. Knows nothing of trials.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.experimental import get_object_locations
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import UserError
from study.storage import write_whole

SECONDS = 120
"""How long a node may take to start a process and look."""


def alive_nodes() -> dict[str, str]:
    """Addresses of the nodes that are there now, by their ids."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node["NodeManagerAddress"] for node in nodes if node["Alive"]}


def check_storage(folder: Path, files: Sequence[Path]) -> None:
    """Whether every node reads what the driver writes, can write beside it, and sees these files.

    A cluster of one node is not asked. Nodes that join later are not either: a trial that cannot use the storage says
    so when it gets there.

    Args:
        folder: exists; where checkpoints and results are to lie.
        files: what trials read beside that; a relative path starts from a process's own working folder.

    Raises:
        UserError: names the node and the path.
    """
    nodes = alive_nodes()
    if len(nodes) < 2:
        return
    folder, mark = folder.absolute(), secrets.token_hex(8)
    probe = folder / f".probe-{mark}"
    write_whole(probe, lambda path: path.write_text(mark, encoding="utf-8"))
    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    seen = {
        node: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            probe, mark, folder / f".probe-{mark}-{node}", files
        )
        for node in nodes
    }
    try:
        for node, found in seen.items():
            address = nodes[node]
            try:
                problem = ray.get(found, timeout=SECONDS)
            except GetTimeoutError:
                raise UserError(f"node {address} did not look at {folder} within {SECONDS} s; take it out") from None
            except RayError as error:
                reason = " ".join(str(error).split())[-200:]
                raise UserError(
                    f"node {address} cannot look at {folder} ({reason}); is it set up as this one?"
                ) from None
            if problem is None and not (folder / f".probe-{mark}-{node}").exists():
                problem = f"{folder}: what it writes there does not arrive here"
            if problem is not None:
                raise UserError(f"node {address}: {problem}; studies and weights must lie where every node sees them")
    finally:
        for left in folder.glob(f".probe-{mark}*"):
            left.unlink(missing_ok=True)


def copies(reference: "ray.ObjectRef[Any]") -> int | None:
    """In how many nodes' memory an object of this process lies; None where Ray does not say."""
    try:
        found = get_object_locations([reference], timeout_ms=10_000).get(reference)
    except GetTimeoutError:
        return None
    return None if found is None else len(found["node_ids"])


def _look(probe: Path, mark: str, answer: Path, files: Sequence[Path]) -> str | None:
    """On a node: what it cannot see or do, naming the path, or None."""
    try:
        if probe.read_text(encoding="utf-8") != mark:
            return f"{probe.parent}: is another folder there"
        answer.write_text(mark, encoding="utf-8")
    except OSError as error:
        return f"{probe.parent}: cannot be used there ({error.strerror})"
    for file in files:
        if not os.access(file, os.R_OK):
            return f"{file}: cannot be read there"
    return None
