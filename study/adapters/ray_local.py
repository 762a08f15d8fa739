"""A local Ray that only this machine reaches, by a token of its own.

Works on Ray's switch for nodes that no other node joins, and on what Ray remembers of authentication. Knows nothing of
studies. By default Ray listens on every address of the machine, and reads its token once per process.

Written for ray 2.60. It replaces two things by private parts. `ray_constants.ENABLE_RAY_CLUSTER` is the switch that
Ray reads from the environment when it is imported; here it is off for one start only. `AuthenticationTokenLoader` and
`Config` hold the token; here they forget it when a Ray has ended, so that the next start can have another one.

With another version, or where the private parts have another shape:
- a local Ray is not started (`study.running.engine` refuses it in one line). The public option that names 127.0.0.1 as
  the node's address is no replacement: Ray 2.60's workers still listen on the machine's other addresses with it. A
  running cluster can be joined with any version.
- every local Ray of this process has the same token, because the old one cannot be forgotten.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from study.adapters.versions import is_version

try:
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
except ImportError:  # another version of Ray: the functions below say so
    ray_constants = AuthenticationTokenLoader = Config = None  # type: ignore[assignment]

WRITTEN_FOR = "2.60"

SWITCH = "ENABLE_RAY_CLUSTER"

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
