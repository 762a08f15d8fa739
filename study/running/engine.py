"""Ray for the length of one study: a local one, or a running cluster by its address.

Knows nothing of studies. A local Ray listens on 127.0.0.1 only, requires a token that no other user has, keeps its
files in a folder that no other user can read, and ends with the study.
"""

import logging
import os
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

import psutil
import ray

from study import environment
from study.adapters import ray_messages
from study.adapters.ray_local import (
    WRITTEN_FOR,
    forget_token,
    has_switch,
    new_token,
    only_this_machine,
    sessions_of_its_own,
    without_spare_processes,
)
from study.adapters.ray_paths import job_config, keeps_folders_out
from study.config import ResourcesConfig
from study.errors import UserError
from study.interrupts import INTERRUPTED, SIGNALS, end_at_once, is_interrupted
from study.running.machine_limits import refuse_small_address_space
from study.running.temporary import temporary_folder
from study.shadows import refuse_shadows_in

# Ray reads these when it starts. They turn off its usage statistics, its display, its signal handling and its result
# files. Workers stay in the folder from which the relative paths of a study file start. Workers start at the same time,
# not one after another; the searcher alone limits how many trials run at once. Ray does not write its list of all
# trials repeatedly, because a resume does not read it.
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

START_ATTEMPTS = 3
TOO_SLOW = "timed out during startup"
"""In the message of the plain `Exception` that Ray raises when its node is not there after 30 seconds."""


@dataclass(frozen=True)
class Node:
    """The CPUs and GPUs of one node."""

    cpus: int
    gpus: float

    def fits(self, cpus: int, gpus: float) -> int:
        """How many trials with these CPUs and GPUs run on it at once."""
        by_cpu = self.cpus // cpus
        if gpus == 0:
            return by_cpu
        # A trial's share is part of one GPU: with 0.4 of a GPU for each trial, two trials fit on each GPU, and the
        # remaining 0.2 of each stay unused.
        by_gpu = int(self.gpus) * int(1 / gpus + 1e-9) if gpus < 1 else int(self.gpus // gpus)
        return min(by_cpu, by_gpu)


@dataclass(frozen=True)
class Capacity:
    """The nodes of a cluster at the start of a study."""

    nodes: tuple[Node, ...]

    def workers(self, cpus: int, gpus: float) -> int:
        """How many trials of this size run at once; 1 if none fits, which then waits until the cluster has grown."""
        return max(1, sum(node.fits(cpus, gpus) for node in self.nodes))

    def largest(self, with_gpu: bool) -> Node:
        """The node with the most CPUs; with `with_gpu`, of the nodes that have a GPU, if there are any."""
        candidates = [node for node in self.nodes if node.gpus > 0] if with_gpu else []
        return max(candidates or self.nodes, key=lambda node: node.cpus)

    def check_fits(self, wanted: ResourcesConfig) -> None:
        """Check that one trial fits on a node. Without this check, Ray would wait forever without a message.

        Raises:
            UserError: it does not; the message names what a trial needs and what the machine has.
        """
        if not any(node.fits(wanted.cpus_per_trial, wanted.gpus_per_trial) for node in self.nodes):
            there = self.largest(wanted.gpus_per_trial > 0)
            raise UserError(
                f"resources: a trial needs {wanted.cpus_per_trial} CPUs and {wanted.gpus_per_trial:g} GPUs, but this "
                f"machine has {there.cpus} and {there.gpus:g}; lower cpus_per_trial or gpus_per_trial"
            )


def this_machine(wanted: ResourcesConfig) -> Capacity:
    """The CPUs and GPUs of this machine, without a start of Ray. GPUs are counted only if a trial wants one."""
    if wanted.gpus_per_trial == 0:
        return Capacity((Node(os.cpu_count() or 1, 0.0),))
    import torch  # takes seconds to load

    return Capacity((Node(os.cpu_count() or 1, float(torch.cuda.device_count())),))


CLUSTER_PATIENCE = 45.0
"""How long the head of a running cluster may be unreachable, in seconds. Ray itself ends the process after 60."""

_SECONDS_TO_ANSWER = 5.0

_SECONDS_OF_A_SIGNAL = 2.0
"""Seconds after Ray's death in which a signal to this process says why: who stops all processes of a job stops both."""


@contextmanager
def ray_engine(address: str | None, verbose: bool, resume_hint: Callable[[], str]) -> Iterator[Capacity]:
    """Start Ray here, or join the cluster at `address`. Ray is shut down at the end, also after an error.

    If Ray itself dies, an orderly end is impossible, because Ray ends every process that calls it. Then this process
    ends at once with one line and status 1.

    Args:
        address: the address of a running cluster.
        verbose: whether to show Ray's own messages.
        resume_hint: returns the end of the line that reports a dead Ray.

    Raises:
        UserError: no Ray answers at the address.
    """
    if ray.is_initialized():
        raise UserError("this process has started Ray already, and a study starts its own; call ray.shutdown() first")
    if (refused := environment.refused_by_ray()) is not None:
        raise UserError(
            f"{refused} is set, and Ray Tune does not start with it; unset it (NOISY_STUDY_ROOT chooses the folder of "
            "studies)"
        )
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
            with _watched(address, resume_hint):
                yield _capacity()
        finally:
            ray.shutdown()


@contextmanager
def _joined(address: str, verbose: bool) -> Iterator[None]:
    """Join a running cluster as a driver. If the cluster requires a token, it comes from the environment."""
    with _starting(f"cannot reach Ray at {address}"), _hidden_stderr(not verbose) as written:
        try:
            ray.init(address=address, **_quiet(verbose))
        except ConnectionError:
            if "InvalidAuthToken" not in written():
                raise
            reason = "the cluster requires a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to its token"
            raise ConnectionError(reason) from None
    yield


@contextmanager
def _local(verbose: bool) -> Iterator[None]:
    """Start a local Ray that no other user and no other machine can reach.

    By default, Ray listens on every address of the machine, keeps its token in a file that other users can read if the
    home folder is open to them, and keeps its sockets in a folder that every user can write to.
    """
    if not has_switch():
        raise UserError(
            f"ray {ray.__version__}: other machines could reach this version of Ray; install ray {WRITTEN_FOR}, or "
            "join a running cluster with --address"
        )
    refuse_small_address_space()
    # A short path: the path of a socket may have about 100 characters.
    ray_folder = temporary_folder("ray-", environment.RAY_FOLDER, environment.ray_temporary_folder())
    try:
        # Ray requires a token by default, unless RAY_AUTH_MODE turns it off. Only the owner of a process can read its
        # environment.
        with ray_folder as folder, environment.restored("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            os.environ["RAY_AUTH_TOKEN"] = environment.ray_token() or new_token()
            with (
                only_this_machine(),
                sessions_of_its_own(),
                without_spare_processes(logs=verbose),
                _starting("Ray does not start here"),
            ):
                _start_locally(folder, verbose)
            yield
    finally:
        forget_token()


def _start_locally(folder: Path, verbose: bool) -> None:
    """Start a local Ray. Ray gives its node 30 seconds, which is too short on a busy machine, so a slow start is
    retried."""
    for attempt in range(1, START_ATTEMPTS + 1):
        before = set(psutil.Process().children())
        try:
            # Ray makes this folder readable for all users. The folder above it stays private.
            place = str(folder / f"ray{attempt}")
            ray.init(address="local", include_dashboard=False, _temp_dir=place, **_quiet(verbose))
            return
        except Exception as error:
            if attempt == START_ATTEMPTS or TOO_SLOW not in str(error):
                raise
            for process in set(psutil.Process().children()) - before:  # Ray forgets the parts that have started
                process.kill()
                process.wait()


@contextmanager
def _starting(what: str) -> Iterator[None]:
    """Turn an error of Ray's start into one line, and shut Ray down if the start is interrupted."""
    try:
        with _signals_kept():
            yield
    except Exception as error:  # noqa: BLE001 - Ray raises plain exceptions, for instance on a busy machine
        raise UserError(f"{what}: {' '.join(str(error).split())[:200]}") from None
    except BaseException:  # interrupted: shut down the parts that have started
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
def _hidden_stderr(hidden: bool) -> Iterator[Callable[[], str]]:
    """Hide what native code writes to standard error: if a cluster refuses, Ray writes the same line twenty times.

    Yields:
        a function that returns what was written so far.
    """
    if not hidden:
        yield str
        return
    sys.stderr.flush()
    seen = os.dup(2)
    with tempfile.TemporaryFile() as aside:

        def written() -> str:
            aside.seek(0)
            return aside.read().decode(errors="replace")

        os.dup2(aside.fileno(), 2)
        try:
            yield written
        finally:
            os.dup2(seen, 2)
            os.close(seen)


def _capacity() -> Capacity:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return Capacity(tuple(Node(int(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in alive))


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the signal handlers. Ray installs its own for SIGTERM, which exits with a stack trace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None  # a SIGTERM before its handler was restored
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


# ------------------------------------------------------------------------------------------------- if Ray itself dies


@contextmanager
def _watched(address: str | None, resume_hint: Callable[[], str]) -> Iterator[None]:
    """Watch Ray on this node and on the head in the background."""
    if address is not None and address.startswith("ray://"):  # a proxy: neither runs on this machine
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
        if over.is_set():
            return
        if is_interrupted(within=_SECONDS_OF_A_SIGNAL):
            # The signal went to Ray too. The main thread cannot shut down, because its next call of Ray ends it.
            end_at_once(f"interrupted{resume_hint()}", INTERRUPTED)
        end_at_once(f"Ray died: nothing listens at {host}:{port} any more{resume_hint()}", 1)

    for each in watched:
        threading.Thread(target=watch, args=each, daemon=True, name="watches Ray").start()
    try:
        yield
    finally:
        over.set()


def _until_gone(host: str, port: int, patience: float, over: threading.Event) -> None:
    """Return when nothing has answered at an address for `patience` seconds, or when `over` is set.

    It keeps a connection open, which closes as soon as the process at the other end ends.
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
