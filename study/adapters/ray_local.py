"""A local Ray that only this machine reaches, by a token of its own, and that signals to our process group do not end.

Works on Ray's switch for nodes that no other node joins, on what Ray remembers of authentication, and on which
processes it starts and how. Knows nothing of studies. By default Ray listens on every address of the machine, reads its
token once per process, its processes get the signals of our process group, and three of them do nothing for a study.

Written for ray 2.60. It replaces four things by private parts. `ray_constants.ENABLE_RAY_CLUSTER` is the switch that
Ray reads from the environment when it is imported; here it is off for one start only. `AuthenticationTokenLoader` and
`Config` hold the token; here they forget it when a Ray has ended, so that the next start can have another one.
`services.ConsolePopen` starts Ray's processes; here each one gets a session of its own. They still end with our
process, because the kernel kills them then (`detect_fate_sharing_support`). The methods of `Node` in `SPARED` start
the autoscaler, the dashboard's server and the reader of the workers' logs; here they start nothing. A local Ray cannot
grow, has no dashboard, and shows no logs unless a user asks for them. Ray has public options for none of the three:
`include_dashboard=False` starts the server without its pages.

With another version, or where the private parts have another shape:
- a local Ray is not started (`study.running.engine` refuses it in one line). The public option that names 127.0.0.1 as
  the node's address is no replacement: Ray 2.60's workers still listen on the machine's other addresses with it. A
  running cluster can be joined with any version.
- every local Ray of this process has the same token, because the old one cannot be forgotten.
- Ray starts all its processes. That takes about 1.5 s of processor time more, and its shutdown about 1.5 s more.
- Ray's processes stay in our process group and die of its signals. `study.running.engine` then sees that the study was
  interrupted, and its end takes longer.
"""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from study.adapters.versions import is_version

try:
    from ray._private import ray_constants, services
    from ray._private.node import Node
    from ray._private.utils import detect_fate_sharing_support
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
except ImportError:  # another version of Ray: the functions below say so
    ray_constants = services = Node = None  # type: ignore[assignment, misc]
    AuthenticationTokenLoader = Config = None
    detect_fate_sharing_support = None  # type: ignore[assignment]

WRITTEN_FOR = "2.60"

SWITCH = "ENABLE_RAY_CLUSTER"
POPEN = "ConsolePopen"
"""Private names: of the switch, and of the class that starts Ray's processes."""

SPARED = ("start_monitor", "start_api_server")
LOGS = "start_log_monitor"
"""Private methods of `Node`; the last one is needed if workers' logs are shown."""

_token_of_process: str | None = None


def has_switch() -> bool:
    """Whether Ray has the private switch that this adapter was written for."""
    return is_version(ray.__version__, WRITTEN_FOR) and isinstance(getattr(ray_constants, SWITCH, None), bool)


def can_forget_token() -> bool:
    """Whether Ray has the private parts that hold its token, as this adapter was written for."""
    return (
        is_version(ray.__version__, WRITTEN_FOR)
        and hasattr(Config, "initialize")
        and hasattr(AuthenticationTokenLoader, "instance")
        and hasattr(AuthenticationTokenLoader, "reset_cache")
    )


def can_start_sessions() -> bool:
    """Whether Ray starts its processes by the private class that this adapter was written for, and has the kernel end
    them with ours."""
    popen = getattr(services, POPEN, None)
    return (
        is_version(ray.__version__, WRITTEN_FOR)
        and isinstance(popen, type)
        and issubclass(popen, subprocess.Popen)
        and callable(detect_fate_sharing_support)
        and bool(detect_fate_sharing_support())  # type: ignore[no-untyped-call]
    )


def can_spare_processes() -> bool:
    """Whether Ray starts the processes that a study does not need by the private methods that this adapter was written
    for."""
    return is_version(ray.__version__, WRITTEN_FOR) and all(
        callable(getattr(Node, name, None)) for name in (*SPARED, LOGS)
    )


@contextmanager
def without_spare_processes(logs: bool) -> Iterator[None]:
    """While a local Ray starts: leave out the processes that a study does not need, where that is possible.

    Args:
        logs: whether the logs of workers are shown, which one of them reads.
    """
    names = (*SPARED, *(() if logs else (LOGS,))) if can_spare_processes() else ()
    former = {name: getattr(Node, name) for name in names}
    for name in names:
        setattr(Node, name, lambda node, **options: None)
    try:
        yield
    finally:
        for name, method in former.items():
            setattr(Node, name, method)


@contextmanager
def sessions_of_its_own() -> Iterator[None]:
    """While a local Ray starts: give each of its processes a session of its own, where that is possible.

    A shell, `timeout`, systemd and Slurm send their signals to a whole process group. Ray must outlive them until the
    study has shut it down.
    """
    if not can_start_sessions():
        yield
        return
    former: Any = getattr(services, POPEN)

    class InItsOwnSession(former):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "start_new_session": True})

    setattr(services, POPEN, InItsOwnSession)
    try:
        yield
    finally:
        setattr(services, POPEN, former)


@contextmanager
def only_this_machine() -> Iterator[None]:
    """While a local Ray starts: have it listen on 127.0.0.1 and on no other address; only where `has_switch()`."""
    former = getattr(ray_constants, SWITCH)
    setattr(ray_constants, SWITCH, False)
    try:
        yield
    finally:
        setattr(ray_constants, SWITCH, former)


def new_token() -> str:
    """A token for one local Ray, 64 hexadecimal digits; the same one every time where Ray cannot forget it."""
    global _token_of_process
    if can_forget_token():
        return secrets.token_hex(32)
    _token_of_process = _token_of_process or secrets.token_hex(32)
    return _token_of_process


def forget_token() -> None:
    """Have Ray read the environment's token again at its next start, where that is possible."""
    if can_forget_token():
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
