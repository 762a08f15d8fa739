"""Ray's client for jobs, with time limits.

Works on requests to Ray's job server. Knows nothing of jobs. Ray's own client waits for ever for a server that accepts
a connection and does not answer.

Written for ray 2.60. It replaces the private method `JobSubmissionClient._do_request`. With another version or another
signature, requests have no time limit: the same answers, but no end where the server hangs.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from study.adapters.versions import is_version

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

WRITTEN_FOR = "2.60"

METHOD = "_do_request"
ARGUMENTS = ["self", "method", "endpoint", "data", "json_data", "kwargs"]
"""The private method that is extended."""


def has_time_limits() -> bool:
    """Whether the private part is the one this adapter was written for."""
    import ray
    from ray.job_submission import JobSubmissionClient

    method = getattr(JobSubmissionClient, METHOD, None)
    return (
        is_version(ray.__version__, WRITTEN_FOR)
        and callable(method)
        and list(inspect.signature(method).parameters) == ARGUMENTS
    )


def job_client(address: str, timeout: Callable[[str], tuple[float, float]]) -> "JobSubmissionClient":
    """A client whose requests end in time, where that is possible.

    Args:
        address: of Ray's job server.
        timeout: the seconds to connect and to answer, for the path of a request.
    """
    from ray.job_submission import JobSubmissionClient

    class BoundedClient(JobSubmissionClient):
        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            return super()._do_request(method, endpoint, timeout=timeout(endpoint), **options)

    return BoundedClient(address) if has_time_limits() else JobSubmissionClient(address)
