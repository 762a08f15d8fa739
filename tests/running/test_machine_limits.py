"""Limits of the machine become one line that says what to do."""

import resource
import subprocess
import sys

import pytest
import ray

from study.errors import UserError
from study.running.engine import ray_engine
from study.running.machine_limits import LEAST_ADDRESS_SPACE, kernel_memory_kills

LIMITED = """
import resource
import sys

from study.errors import UserError
from study.running.machine_limits import refuse_small_address_space

resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    refuse_small_address_space()
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [LEAST_ADDRESS_SPACE - 1, LEAST_ADDRESS_SPACE, resource.RLIM_INFINITY])
def test_small_address_space_is_refused(limit: int) -> None:
    """In a process of its own, because the limit stays."""
    ran = subprocess.run([sys.executable, "-c", LIMITED, str(limit)], capture_output=True, text=True, check=True)
    assert ("ulimit -v unlimited" in ran.stdout) == (limit == LEAST_ADDRESS_SPACE - 1)


def test_kernel_counts_the_processes_it_killed() -> None:
    assert kernel_memory_kills() >= 0


@pytest.mark.parametrize("variable", ["TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR"])
def test_variable_that_stops_ray_tune_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/somewhere")
    with pytest.raises(UserError, match=f"^{variable} is set"), ray_engine(None, False, str):
        raise AssertionError


def test_running_ray_of_the_process_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not ours, so it is neither used nor shut down."""
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("Ray was shut down"))
    with pytest.raises(UserError, match=r"call ray\.shutdown\(\) first"), ray_engine(None, False, str):
        raise AssertionError
