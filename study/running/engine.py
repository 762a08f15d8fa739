"""Ray for the length of one study: a local one, or a running cluster by its address.

Knows nothing of studies. Whatever it starts on this machine listens on 127.0.0.1, asks for a token that nobody else
has, keeps its files where nobody else can read them, and is gone when the study is.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from study import environment
from study.adapters import ray_messages
from study.adapters.ray_local import WRITTEN_FOR, forget_token, has_switch, new_token, only_this_machine
from study.adapters.ray_paths import job_config, keeps_folders_out
from study.config import ResourcesConfig
from study.errors import UserError
from study.interrupts import SIGNALS, end_at_once
from study.shadows import refuse_shadows_in

# Read by Ray when it starts: no usage statistics; no display, no signal handling and no result files of its own; and
# workers stay in the folder that a study file's relative paths start from. Workers start side by side and not one after
# another: the searcher alone says how many trials there are at once. And the list of all trials, which no resume would
# read, is not written again and again.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
}


@dataclass(frozen=True)
class Node:
    """What one node offers."""

    cpus: int
    gpus: float

    def fits(self, cpus: int, gpus: float) -> int:
        """How many trials of this size run on it at once."""
        by_cpu = self.cpus // cpus
        if gpus == 0:
            return by_cpu
        # A share is of one GPU: of two GPUs, trials of 0.4 get two each, and what is left of both serves nobody.
        by_gpu = int(self.gpus) * int(1 / gpus + 1e-9) if gpus < 1 else int(self.gpus // gpus)
        return min(by_cpu, by_gpu)


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


CLUSTER_PATIENCE = 45.0
"""Seconds that the head of a running cluster may be away. Ray itself ends the process after 60."""

_SECONDS_TO_ANSWER = 5.0


@contextmanager
def ray_engine(address: str | None, verbose: bool, how_to_go_on: Callable[[], str]) -> Iterator[Capacity]:
    """Start Ray here, or join the cluster at `address`; leave it at the end, whatever happens.

    Where Ray itself dies there is no way to wind down: it ends any process that still talks to it. So the process ends
    with one line and status 1, at once.

    Args:
        address: of a running cluster.
        verbose: let Ray speak.
        how_to_go_on: ends the line about a Ray that died.

    Raises:
        UserError: no Ray answers at the address.
    """
    if not keeps_folders_out():
        refuse_shadows_in(Path.cwd())
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not verbose:
        for name in ("ray", "ray.tune", "ray.train", "ray.data", "ray._private"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        ray_messages.silence()
    with _joined(address, verbose) if address else _local(verbose):
        try:
            with _watched(address, how_to_go_on):
                yield _capacity()
        finally:
            ray.shutdown()


@contextmanager
def _joined(address: str, verbose: bool) -> Iterator[None]:
    """A driver of a running cluster; its token, where it wants one, is the environment's."""
    with _beginning(f"cannot reach Ray at {address}"), _stderr_aside(not verbose) as said:
        try:
            ray.init(address=address, **_quiet(verbose))
        except ConnectionError:
            if "InvalidAuthToken" not in said():
                raise
            reason = "it wants its token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's own"
            raise ConnectionError(reason) from None
    yield


@contextmanager
def _local(verbose: bool) -> Iterator[None]:
    """A Ray of our own that nobody else can reach.

    Left to itself, Ray listens on every address of the machine, keeps its token in a file that every user of the
    machine may read where the home folder is open, and its sockets in a folder that every user may write to.
    """
    if not has_switch():
        raise UserError(
            f"ray {ray.__version__}: this version cannot be kept to this machine, and other machines could reach it; "
            f"install ray {WRITTEN_FOR}, or join a running cluster with --address"
        )
    # Not beside other temporary files: the path of a socket has room for about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=environment.ray_temporary_folder()))
    try:
        with environment.restored("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            # Ray asks for tokens by itself unless RAY_AUTH_MODE says otherwise. Only the owner of a process can read
            # its environment.
            os.environ["RAY_AUTH_TOKEN"] = environment.ray_token() or new_token()
            with only_this_machine(), _beginning("Ray does not start here"):
                # Ray makes the folder that it is given readable for everybody; the folder around it stays closed.
                ray.init(address="local", include_dashboard=False, _temp_dir=str(folder / "ray"), **_quiet(verbose))
            yield
    finally:
        forget_token()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _beginning(what: str) -> Iterator[None]:
    """Around Ray's start: one line where it fails, and nothing left where it is interrupted."""
    try:
        with _signals_kept():
            yield
    except Exception as error:  # noqa: BLE001 - Ray raises bare exceptions, for instance on a machine too busy
        raise UserError(f"{what}: {' '.join(str(error).split())[:200]}") from None
    except BaseException:  # interrupted half-way: what has been started goes too
        ray.shutdown()
        raise


def _quiet(verbose: bool) -> dict[str, Any]:
    return {
        "log_to_driver": verbose,
        "logging_level": logging.INFO if verbose else logging.ERROR,
        "configure_logging": verbose,
        "job_config": job_config(),
    }


@contextmanager
def _stderr_aside(wanted: bool) -> Iterator[Callable[[], str]]:
    """Keep what native code writes to standard error out of sight: joining a cluster that refuses, Ray says so twenty
    times.

    Yields:
        what was written so far.
    """
    if not wanted:
        yield str
        return
    sys.stderr.flush()
    seen = os.dup(2)
    with tempfile.TemporaryFile() as aside:

        def said() -> str:
            aside.seek(0)
            return aside.read().decode(errors="replace")

        os.dup2(aside.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(seen, 2)
            os.close(seen)


def _capacity() -> Capacity:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return Capacity(tuple(Node(int(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in alive))


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts in a handler of its own for SIGTERM, which exits with a dump; whoever started us has put in theirs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None  # a SIGTERM in the moment before its handler is put back
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


# ------------------------------------------------------------------------------------------------------ Ray's own end


@contextmanager
def _watched(address: str | None, how_to_go_on: Callable[[], str]) -> Iterator[None]:
    """Watch this node's Ray and the head's in the background."""
    if address is not None and address.startswith("ray://"):  # neither is here, and a proxy speaks for both
        yield
        return
    context = ray.get_runtime_context()
    here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())  # type: ignore[no-untyped-call]
    host, _, port = context.gcs_address.rpartition(":")
    watched = [
        (here["NodeManagerAddress"], here["NodeManagerPort"], 0.0),
        (host.strip("[]"), int(port), CLUSTER_PATIENCE if address else 0.0),
    ]
    over = threading.Event()

    def watch(host: str, port: int, patience: float) -> None:
        _until_gone(host, port, patience, over)
        if not over.is_set():
            end_at_once(f"Ray died: nothing listens at {host}:{port} any more{how_to_go_on()}", 1)

    for each in watched:
        threading.Thread(target=watch, args=each, daemon=True, name="watches Ray").start()
    try:
        yield
    finally:
        over.set()


def _until_gone(host: str, port: int, patience: float, over: threading.Event) -> None:
    """Return when nothing has answered at an address for `patience` seconds, or when it is over.

    A connection that is kept open ends in the moment when the process at its other end does.
    """
    gone_at: float | None = None
    while not over.is_set():
        try:
            with socket.create_connection((host, port), timeout=_SECONDS_TO_ANSWER) as connection:
                gone_at = None
                connection.settimeout(None)
                while connection.recv(4096):
                    pass
        except OSError:
            now = time.monotonic()
            gone_at = gone_at or now
            if now - gone_at >= patience:
                return
            over.wait(1.0)
