"""Functions that run as another user of this machine, who has no right to anything of the user of the tests."""

import json
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def as_nobody(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """The result of a function that a child process calls as the user `nobody`, without any group of ours.

    The child is a fork, and no new program: `nobody` may have no access to the interpreter of the tests. So everything
    that the function needs must be imported already.

    Raises:
        AssertionError: the function raised an error; the message is the error's.
    """
    socket.getaddrinfo("127.0.0.1", 80)  # it imports what it needs
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.chdir("/")
            answer = json.dumps(function(*arguments))
            status = 0
        except BaseException as error:  # noqa: BLE001 - the parent raises it again
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(writes, answer.encode())
            os._exit(status)
    os.close(writes)
    with open(reads, encoding="utf-8") as pipe:
        answer = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, answer
    result: dict[str, Any] = json.loads(answer)
    return result
