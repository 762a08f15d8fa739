"""Commands whose processes share a limited memory: the kernel kills the one that uses most of it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import psutil
import pytest

from support.disturbed import HERE, NOISY_STUDY, Launch

_MEMORY = Path("/sys/fs/cgroup/memory")
_JOIN = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"


@contextmanager
def small_memory(limit: int) -> Iterator[Launch]:
    """How to start commands in a memory cgroup of its own; only root can make one, so the test is skipped elsewhere.

    Args:
        limit: bytes for all processes of the commands.
    """
    group = _MEMORY / f"noisy-study-{uuid4().hex[:8]}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup (version 1) can be made here: {error}")
    (group / "memory.limit_in_bytes").write_text(str(limit))

    def launch(words: Sequence[str], folder: Path, environment: Mapping[str, str], out: IO[str], err: IO[str]) -> Any:
        join = [sys.executable, "-c", _JOIN, str(group / "cgroup.procs")]
        return subprocess.Popen(
            [*join, NOISY_STUDY, *words],
            cwd=folder,
            env={**HERE, **environment},
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

    try:
        yield launch
    finally:
        left = [psutil.Process(int(pid)) for pid in (group / "cgroup.procs").read_text().split()]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=60)
        os.rmdir(group)
