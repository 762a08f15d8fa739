"""Keeps Ray's messages about workers and nodes off standard output.

Works on the filter that Ray's driver puts before standard output. Ray prints there that a worker or a node died,
whatever `log_to_driver` says. Knows nothing of studies.

Written for ray 2.60, whose filter `stdout_deduplicator` is private. It replaces the environment variable
`RAY_DEDUP_LOGS_SKIP_REGEX`, which Ray reads when it is imported, and which its workers would inherit. With another
version or another filter, Ray's messages are printed: the same results, and lines that nobody needs.
"""

import re

import ray

from study.adapters.versions import is_version

try:
    from ray._private.ray_logging import stdout_deduplicator
except ImportError:  # another version of Ray: `can_silence` says so
    stdout_deduplicator = None  # type: ignore[assignment]

WRITTEN_FOR = "2.60"


def can_silence() -> bool:
    """Whether the private filter is the one this adapter was written for."""
    return is_version(ray.__version__, WRITTEN_FOR) and hasattr(stdout_deduplicator, "skip_re")


def silence() -> None:
    """Have this process print none of these messages, where that is possible."""
    if can_silence():
        stdout_deduplicator.skip_re = re.compile("")
