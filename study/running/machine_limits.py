"""What the machine limits: address space, room for temporary files, and memory that the kernel takes back by a kill.

Works on the limits of this process, on folders and on the kernel's counters. Knows nothing of studies.
"""

import errno
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.errors import StorageFull, UserError

LEAST_ADDRESS_SPACE = 8 * 2**30
"""Bytes. A worker of Ray maps the shared memory of all workers and its libraries: 5 to 12 GiB, most of it not used."""


def refuse_small_address_space() -> None:
    """Refuse a limit on the address space with which a local Ray cannot start.

    Raises:
        UserError: names the limit and the command that removes it.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESS_SPACE:
        raise UserError(
            f"the address space of this process is limited to {limit // 1024} kB (ulimit -v), and Ray maps more than "
            "it uses; run `ulimit -v unlimited` first, or limit the memory by a cgroup or a container"
        )


@contextmanager
def temporary_folder(prefix: str, variable: str, parent: str | None = None) -> Iterator[Path]:
    """A temporary folder for the length of the block.

    Args:
        prefix: the beginning of its name.
        variable: the environment variable that chooses its parent, for the message.
        parent: the folder to make it in; None for Python's own choice.

    Raises:
        StorageFull: there is no room for it.
        UserError: it cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        # Without a parent, Python tries several folders and then raises ENOENT, whatever the reason was.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or parent is None
        where = parent or "the folder of temporary files"
        raise (StorageFull if full else UserError)(
            f"no temporary folder can be made in {where}: {error.strerror or error}; make room there, or choose "
            f"another folder with {variable}"
        ) from None
    with folder as name:
        yield Path(name)


def kernel_memory_kills() -> int:
    """How many processes the kernel has killed since the machine started because memory ran out; 0 where it does not
    say. On a machine with containers, those of all of them."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
