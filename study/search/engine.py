"""Ray for the length of one study: a local one, or a running cluster by its address.

Knows nothing of studies. Whatever it starts on this machine listens on 127.0.0.1, asks for a token that nobody else
has, keeps its files where nobody else can read them, and is gone when the study is.
"""

import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from study.config import ResourcesConfig
from study.errors import UserError

# Read by Ray when it starts: no usage statistics; no display, no signal handling and no result files of its own; and
# workers stay in the folder that a study file's relative paths start from.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Node:
    """What one node offers."""

    cpus: int
    gpus: float

    def fits(self, cpus: int, gpus: float) -> int:
        """How many trials of this size run on it at once."""
        by_cpu = self.cpus // cpus
        return by_cpu if gpus == 0 else min(by_cpu, int(self.gpus / gpus))


@dataclass(frozen=True)
class Capacity:
    """What the nodes of a cluster offer, when the study began."""

    nodes: tuple[Node, ...]

    def workers(self, cpus: int, gpus: float) -> int:
        """How many trials of this size run at once; 1 where none fits, which waits until a cluster has grown."""
        return max(1, sum(node.fits(cpus, gpus) for node in self.nodes))

    def largest(self, with_gpu: bool) -> Node:
        """The node with the most CPUs, of those with a GPU where one is wanted and there is one."""
        candidates = [node for node in self.nodes if node.gpus > 0] if with_gpu else []
        return max(candidates or self.nodes, key=lambda node: node.cpus)

    def check_fits(self, wanted: ResourcesConfig) -> None:
        """Whether one trial fits any node at all; Ray would wait for ever, and silently.

        Raises:
            UserError: names what is wanted and what there is.
        """
        if not any(node.fits(wanted.cpus_per_trial, wanted.gpus_per_trial) for node in self.nodes):
            there = self.largest(wanted.gpus_per_trial > 0)
            raise UserError(
                f"resources: a trial wants {wanted.cpus_per_trial} CPUs and {wanted.gpus_per_trial:g} GPUs, this "
                f"machine has {there.cpus} and {there.gpus:g}; lower cpus_per_trial or gpus_per_trial"
            )


@contextmanager
def ray_engine(address: str | None, verbose: bool) -> Iterator[Capacity]:
    """Start Ray here, or join the cluster at `address`; leave it at the end, whatever happens.

    Inside, SIGINT and SIGTERM raise `KeyboardInterrupt`, and a second one ends the process at once.

    Raises:
        UserError: no Ray answers at the address.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not verbose:
        for name in ("ray", "ray.tune", "ray.train", "ray.data", "ray._private"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with _joined(address, verbose) if address else _local(verbose):
        try:
            with _interruptible():
                yield _capacity()
        finally:
            ray.shutdown()


@contextmanager
def _joined(address: str, verbose: bool) -> Iterator[None]:
    """A driver of a running cluster; its token, where it wants one, is the environment's."""
    try:
        ray.init(address=address, **_quiet(verbose))
    except Exception as error:  # noqa: BLE001 - Ray raises bare exceptions
        raise UserError(f"cannot reach Ray at {address}: {' '.join(str(error).split())[:200]}") from None
    yield


@contextmanager
def _local(verbose: bool) -> Iterator[None]:
    """A Ray of our own that nobody else can reach.

    Left to itself, Ray listens on every address of the machine, keeps its token in a file that every user of the
    machine may read where the home folder is open, and its sockets in a folder that every user may write to.
    """
    former = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    joinable = ray_constants.ENABLE_RAY_CLUSTER
    # Not beside other temporary files: the path of a socket has room for about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=os.environ.get("RAY_TMPDIR") or "/tmp"))
    # Ray asks for tokens by itself unless RAY_AUTH_MODE says otherwise. The environment is its owner's alone.
    os.environ["RAY_AUTH_TOKEN"] = former["RAY_AUTH_TOKEN"] or secrets.token_hex(32)
    # Ray's own switch for a node that no other joins (it is on for macOS and Windows): 127.0.0.1 and nothing else.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        try:
            # Ray opens the folder it is given to everybody; the one around it stays closed.
            ray.init(address="local", include_dashboard=False, _temp_dir=str(folder / "ray"), **_quiet(verbose))
        except Exception as error:  # noqa: BLE001 - Ray raises bare exceptions, for instance on a machine too busy
            raise UserError(f"Ray does not start here: {' '.join(str(error).split())[:200]}") from None
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = joinable
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        Config.initialize("")  # what Ray has read of them
        AuthenticationTokenLoader.instance().reset_cache()
        shutil.rmtree(folder, ignore_errors=True)


def _quiet(verbose: bool) -> dict[str, Any]:
    return {
        "log_to_driver": verbose,
        "logging_level": logging.INFO if verbose else logging.ERROR,
        "configure_logging": verbose,
    }


def _capacity() -> Capacity:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return Capacity(tuple(Node(int(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in alive))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Our own handler for both signals, put in after Ray has put in its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: os._exit(130))
        raise KeyboardInterrupt

    former = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
