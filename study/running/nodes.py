"""The nodes of a cluster: their addresses, whether they can use a study's folder, and which objects they hold.

Works on the Ray cluster that this process has joined. Knows nothing of trials.
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
"""How long a node may take to start a process and check the folder, in seconds."""


def alive_nodes() -> dict[str, str]:
    """Addresses of the nodes that are alive, by their ids."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node["NodeManagerAddress"] for node in nodes if node["Alive"]}


def check_storage(folder: Path, files: Sequence[Path]) -> None:
    """Check that every node can read and write the study's folder and can read these files.

    A cluster of one node is not checked, nor are nodes that join later: there, a trial that cannot use the folder fails
    with a message.

    Args:
        folder: the folder of checkpoints and results; it exists.
        files: other files that trials read; a relative path starts from a process's own working folder.

    Raises:
        UserError: a node cannot use them; the message names the node and the path.
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
                raise UserError(
                    f"node {address} did not answer within {SECONDS} s about {folder}; remove it from the cluster"
                ) from None
            except RayError as error:
                reason = " ".join(str(error).split())[-200:]
                raise UserError(
                    f"node {address} cannot check {folder} ({reason}); install the same packages there as here"
                ) from None
            if problem is None and not (folder / f".probe-{mark}-{node}").exists():
                problem = f"{folder}: a file written there is not visible here"
            if problem is not None:
                raise UserError(f"node {address}: {problem}; put studies and weights in a folder that all nodes share")
    finally:
        for left in folder.glob(f".probe-{mark}*"):
            left.unlink(missing_ok=True)


def copies(reference: "ray.ObjectRef[Any]") -> int | None:
    """How many nodes hold an object of this process in memory; None if Ray does not answer."""
    try:
        found = get_object_locations([reference], timeout_ms=10_000).get(reference)
    except GetTimeoutError:
        return None
    return None if found is None else len(found["node_ids"])


def _look(probe: Path, mark: str, answer: Path, files: Sequence[Path]) -> str | None:
    """Runs on a node: what it cannot read or write, with the path; None if everything works."""
    try:
        if probe.read_text(encoding="utf-8") != mark:
            return f"{probe.parent}: this is a different folder there"
        answer.write_text(mark, encoding="utf-8")
    except OSError as error:
        return f"{probe.parent}: this folder cannot be used there ({error.strerror})"
    for file in files:
        if not os.access(file, os.R_OK):
            return f"{file}: this file cannot be read there"
    return None
