"""What the machine limits: address space, and memory that the kernel takes back by a kill.

Works on the limits of this process and on the kernel's counters. Knows nothing of studies.
"""

import resource
from pathlib import Path

from study.errors import UserError

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


def kernel_memory_kills() -> int:
    """How many processes the kernel has killed since the machine started because memory ran out; 0 where it does not
    say. On a machine with containers, those of all of them."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
